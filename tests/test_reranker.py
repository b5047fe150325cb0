"""The reranker learns from companies' questions, knows when nothing answers, and can be stopped at any time."""

import random

import numpy as np
import pytest
import torch

from helpers.base_model import companies as companies_module, reranking
from helpers.base_model.companies import Company, is_held_out, parse
from helpers.base_model.reranking import CANDIDATES, Choice, batches, calibrate, choices_of, loss_of, train, with_odd_values
from helpers.reranker import Reranker


@pytest.fixture
def companies() -> list[Company]:
    texts = {
        "bakery": "# Opening hours\n- We open at seven.\n? When do you open?\n- On {weekday} we rest.\n? Are you there on {weekday}?\n! Do you deliver?\n- Bread costs {money}.\n? How much is a loaf?\n",
        "gym": "# Membership\n- A month costs $20.\n? What is the price?\n- You can cancel any day.\n? How do I leave?\n- Towels are at the desk.\n? Is there a towel?\n",
    }
    found = [parse(text, f"{name}.txt") for name, text in texts.items()]
    for company in found:
        for question in company.questions:
            question.ranking = [2, 1, 0]
    return found


def test_a_choice_holds_what_the_retriever_brings_and_where_the_answer_is(companies, monkeypatch):
    monkeypatch.setattr(reranking, "NONE_SHARE", 0.0)
    monkeypatch.setattr(reranking, "UNANSWERED_SHARE", 1.0)
    open_, rest, deliver, loaf = choices_of(companies[0], random.Random(0))
    assert open_.candidates[open_.answer] == "Opening hours:\nWe open at seven." and len(set(open_.candidates)) == 3
    assert loaf.candidates[loaf.answer].startswith("Opening hours:\nBread costs")
    assert deliver.answer is None and len(deliver.candidates) == 3


def test_the_answer_is_taken_out_of_a_share(companies, monkeypatch):
    monkeypatch.setattr(reranking, "NONE_SHARE", 1.0)
    for choice in choices_of(companies[1], random.Random(0)):
        assert choice.answer is None and len(choice.candidates) == 2


def test_odd_values_leave_the_words_around_them(companies):
    odd = {with_odd_values(companies[0], random.Random(seed)).sentences[2].text for seed in range(20)}
    assert "Bread costs {money}." in odd and len(odd) > 3 and all(text.startswith("Bread costs {") for text in odd)
    assert companies[0].sentences[2].text == "Bread costs {money}."


def test_every_company_is_asked_and_the_easy_part_comes_first(companies, monkeypatch):
    monkeypatch.setattr(reranking, "EASY", 1)
    monkeypatch.setattr(reranking, "QUESTIONS", 4)
    found = batches(companies)
    asked = {choice.question for batch in found for choice in batch}
    assert {"What is the price?", "When do you open?"} <= asked
    assert all(len(batch) <= 4 and len(choice.candidates) <= CANDIDATES for batch in found for choice in batch)
    assert [[choice.question for choice in batch] for batch in batches(companies)] == [[choice.question for choice in batch] for batch in found]


def test_the_loss_falls_with_the_chance_of_what_is_right():
    class Encoder:
        def preprocess(self, pairs):
            return pairs

        def __call__(self, pairs):
            return {"scores": torch.tensor([[4.0 if passage == "yes" else -4.0] for _, passage in pairs])}

    right = loss_of(Encoder(), [Choice("?", ["no", "yes"], 1), Choice("?", ["no"], None)])
    wrong = loss_of(Encoder(), [Choice("?", ["no", "yes"], 0), Choice("?", ["yes"], None)])
    assert 0 < right.item() < 0.1 and wrong.item() > 3


def test_a_run_that_was_killed_goes_on_with_the_same_losses(companies, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reranking, "EASY", 1)
    monkeypatch.setattr(reranking, "QUESTIONS", 2)
    monkeypatch.setattr(reranking, "CHECKPOINT_EVERY", 1)
    losses, killed = [], []

    def keep(encoder, batch):
        loss = loss_of(encoder, batch)
        losses.append(loss.item())
        return loss

    def kill(encoder, batch):
        if len(killed) == 2:
            raise KeyboardInterrupt
        killed.append(1)
        return loss_of(encoder, batch)

    monkeypatch.setattr(reranking, "loss_of", keep)
    train(companies, tmp_path / "whole.pt")
    whole, losses[:] = list(losses), []
    monkeypatch.setattr(reranking, "loss_of", kill)
    with pytest.raises(KeyboardInterrupt):
        train(companies, tmp_path / "killed.pt")
    monkeypatch.setattr(reranking, "loss_of", keep)
    train(companies, tmp_path / "killed.pt")
    assert len(whole) > 2 and losses == whole[2:]


def test_chances_leave_room_for_none():
    judge = Reranker(None, similarity_weight=10.0, bias=-5.0)
    sure, unsure = judge.chances([4.0, -4.0], [0.5, 0.5]), judge.chances([-4.0, -4.0], [0.5, 0.5])
    assert sure[0] == pytest.approx(np.exp(4) / (1 + np.exp(4) + np.exp(-4))) and unsure.sum() < 0.05
    assert judge.chances([0.0, 0.0], [0.9, 0.1])[0] > 0.9


def test_calibration_trusts_the_similarity_as_far_as_it_is_right():
    """The network says nothing here, so all is left to the embedder."""

    class Silent:
        def predict(self, pairs, **settings):
            return np.zeros(len(pairs))

    held_out = [company for company in companies_module.load() if is_held_out(company.name)][:2]
    weight, bias = calibrate(Silent(), held_out)
    assert 5 < weight < 60 and bias < 0
