"""The reranker learns from companies' questions, knows when nothing answers, and can be stopped at any time."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import check, reranker as reranker_module
from helpers.base_model import companies as companies_module, reranking
from helpers.base_model.companies import Company, is_held_out, parse
from helpers.base_model.evaluate import load_suites
from helpers.base_model.reranking import CANDIDATES, Choice, Recipe, batches, calibrate, choices_of, loss_of, near_misses_of, train, with_odd_values
from helpers.bots import LEAST_SCORE
from helpers.knowledge import HelpCenter
from helpers.models import ModelError, load_embedder
from helpers.paths import RERANKER
from helpers.reranker import Calibration, Reranker, load_reranker
from helpers.scoring import value_present


@pytest.fixture
def companies() -> list[Company]:
    texts = {
        "bakery": "# Opening hours\n- We open at seven.\n? When do you open?\n- On {weekday} we rest.\n? Are you there on {weekday}?\n! Do you deliver?\n- Bread costs {money}.\n? How much is a loaf?\n",
        "gym": "# Membership\n- A month costs $20.\n? What is the price?\n~ What does a week cost?\n- You can cancel any day.\n? How do I leave?\n- Towels are at the desk.\n? Is there a towel?\n",
    }
    found = [parse(text, f"{name}.txt") for name, text in texts.items()]
    for company in found:
        for question in company.questions:
            question.ranking = [2, 1, 0]
    return found


def test_a_choice_holds_what_the_retriever_brings_and_where_the_answer_is(companies, monkeypatch):
    monkeypatch.setattr(reranking, "NONE_SHARE", 0.0)
    monkeypatch.setattr(reranking, "UNANSWERED_SHARE", 1.0)
    open_, _, deliver, loaf = choices_of(companies[0], random.Random(0))
    assert open_.candidates[open_.answer] == "Opening hours:\nWe open at seven." and len(set(open_.candidates)) == 3
    assert loaf.candidates[loaf.answer].startswith("Opening hours:\nBread costs")
    assert deliver.answer is None and len(deliver.candidates) == 3


def test_the_answer_is_taken_out_of_a_share(companies, monkeypatch):
    monkeypatch.setattr(reranking, "NONE_SHARE", 1.0)
    for choice in choices_of(companies[1], random.Random(0)):
        assert choice.answer is None and len(choice.candidates) == 2


def test_a_near_miss_comes_with_the_sentence_that_tempts_and_none_is_right(companies):
    (near,) = near_misses_of(companies[1], random.Random(0))
    assert near.question == "What does a week cost?" and near.answer is None
    assert "Membership:\nA month costs $20." in near.candidates and len(set(near.candidates)) == 3


def test_a_share_of_near_misses_is_asked_when_the_recipe_says_so(companies, monkeypatch):
    monkeypatch.setattr(reranking, "EASY", 0)
    monkeypatch.setattr(reranking, "as_typed", lambda text, rng: text)

    def near_misses(recipe: Recipe) -> int:
        return sum(choice.question == "What does a week cost?" for batch in batches(companies, recipe) for choice in batch)

    assert near_misses(Recipe()) == 0
    assert near_misses(Recipe(near_misses=0.25)) == 1


def test_the_questions_of_new_companies_go_before_the_others(companies, monkeypatch):
    monkeypatch.setattr(reranking, "as_typed", lambda text, rng: text)
    bakery, gym = companies
    (batch,) = batches([bakery], Recipe(questions=3, steps=1, start="an earlier one"), [gym])
    assert {choice.question for choice in batch} == {question.text for question in gym.questions}


def test_odd_values_leave_the_words_around_them(companies):
    odd = {with_odd_values(companies[0], random.Random(seed)).sentences[2].text for seed in range(20)}
    assert "Bread costs {money}." in odd and len(odd) > 3 and all(text.startswith("Bread costs {") for text in odd)
    assert companies[0].sentences[2].text == "Bread costs {money}."


def test_every_company_is_asked_and_the_easy_part_comes_first(companies, monkeypatch):
    monkeypatch.setattr(reranking, "EASY", 1)
    found = batches(companies, Recipe(questions=4))
    asked = {choice.question for batch in found for choice in batch}
    assert {"What is the price?", "When do you open?"} <= asked
    assert all(len(batch) <= 4 and len(choice.candidates) <= CANDIDATES for batch in found for choice in batch)
    assert [[choice.question for choice in batch] for batch in batches(companies, Recipe(questions=4))] == [[choice.question for choice in batch] for batch in found]


def test_the_loss_falls_with_the_chance_of_what_is_right():
    class Encoder:
        device = torch.device("cpu")

        def preprocess(self, pairs):
            return {"pairs": pairs}

        def __call__(self, features):
            return {"scores": torch.tensor([[4.0 if passage == "yes" else -4.0] for _, passage in features["pairs"]])}

    right = loss_of(Encoder(), [Choice("?", ["no", "yes"], 1), Choice("?", ["no"], None)])
    wrong = loss_of(Encoder(), [Choice("?", ["no", "yes"], 0), Choice("?", ["yes"], None)])
    assert 0 < right.item() < 0.1 and wrong.item() > 3


def test_a_run_that_was_killed_goes_on_with_the_same_losses(companies, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reranking, "EASY", 1)
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
    train(companies, tmp_path / "whole.pt", Recipe(questions=2, passes=2))
    whole, losses[:] = list(losses), []
    monkeypatch.setattr(reranking, "loss_of", kill)
    with pytest.raises(KeyboardInterrupt):
        train(companies, tmp_path / "killed.pt", Recipe(questions=2, passes=2))
    monkeypatch.setattr(reranking, "loss_of", keep)
    train(companies, tmp_path / "killed.pt", Recipe(questions=2, passes=2))
    assert len(whole) > 2 and losses == whole[2:]
    with pytest.raises(ValueError, match="other settings"):
        train(companies, tmp_path / "killed.pt", Recipe(questions=2, passes=2, seed=1))


def test_a_second_stage_goes_on_with_the_weights_and_the_next_pass(companies, tmp_path, monkeypatch):
    monkeypatch.setattr(reranking, "EASY", 1)
    both = batches(companies, Recipe(questions=2, passes=2))
    second = batches(companies, Recipe(questions=2, start="begun"))
    assert len(second) < len(both) and len(batches(companies, Recipe(questions=2, start="begun", steps=1))) == 1
    begun = train(companies, tmp_path / "begun.pt", Recipe(questions=2))
    reranking.save(begun, Calibration(), tmp_path / "begun")
    assert check.reranker(tmp_path / "begun").ok
    again = train(companies, tmp_path / "again.pt", Recipe(questions=2, steps=1, learning_rate=0.0, head_rate=0.0, start=str(tmp_path / "begun")))
    kept = begun[-1].state_dict()["linear.weight"].half().float()
    assert torch.equal(again[-1].state_dict()["linear.weight"], kept) and again[-1].linear.weight.dtype == torch.float32


def test_chances_leave_room_for_none():
    judge = Reranker(None, Calibration(score_weight=1.0, similarity_weight=10.0, bias=-5.0))
    sure, unsure = judge.chances([4.0, -4.0], [0.5, 0.5]), judge.chances([-4.0, -4.0], [0.5, 0.5])
    assert sure[0] == pytest.approx(np.exp(4) / (1 + np.exp(4) + np.exp(-4))) and unsure.sum() < 0.05
    assert judge.chances([0.0, 0.0], [0.9, 0.1])[0] > 0.9
    assert Reranker(None, Calibration(score_weight=2.0)).chances([2.0], [0.0])[0] == pytest.approx(1 / (1 + np.exp(-4)))


def test_a_pair_is_read_once(monkeypatch):
    """Two bots that answer the same tickets search for the same passages."""
    read = []

    class Encoder:
        def predict(self, pairs, **settings):
            read.extend(pairs)
            return np.array([len(passage) for _, passage in pairs], dtype=float)

    judge = Reranker(Encoder())
    assert judge.score([("q", "a"), ("q", "bbb"), ("q", "a")]) == [1, 3, 1]
    assert judge.score([("q", "bbb"), ("other", "a")]) == [3, 1]
    assert read == [("q", "a"), ("q", "bbb"), ("other", "a")]
    monkeypatch.setattr(reranker_module, "KEPT", 3)
    assert judge.score([("q", "a"), ("new", "cc")]) == [1, 2]
    assert judge.score([("new", "cc")]) == [2] and read[3:] == [("q", "a"), ("new", "cc")]


def test_calibration_trusts_each_judge_as_far_as_it_is_right():
    class Silent:
        def predict(self, pairs, **settings):
            return np.zeros(len(pairs))

    class Knowing:
        """Tells the passage that answers from the others, too cautiously by half."""

        def predict(self, pairs, **settings):
            return np.array([2.0 * (pair in answers) - 1.0 for pair in pairs])

    held_out = [company for company in companies_module.load() if is_held_out(company.name)][:2]
    answers = set()
    for company in held_out:
        texts = companies_module.texts_of(company)
        answers |= {(asked, texts.in_context[q.answer]) for q, asked in zip(company.questions, texts.questions, strict=True) if q.answer is not None}
    embedder_alone, both = calibrate(Silent(), held_out), calibrate(Knowing(), held_out)
    assert embedder_alone.score_weight == 0.0 and 5 < embedder_alone.similarity_weight < 60 and embedder_alone.bias < 0
    assert both.score_weight > 3


def test_the_shipped_reranker_finds_more_answers_and_knows_when_there_is_none():
    first: dict[str, list[bool]] = {"plain": [], "reranked": []}
    shown: dict[bool, list[bool]] = {True: [], False: []}
    for reranked, questions in load_suites().values():
        plain = HelpCenter(reranked.articles, reranked.index_folder, embedder=load_embedder())
        for name, help_center in (("plain", plain), ("reranked", reranked)):
            for question, (best,) in zip(questions, help_center.search_all([q.text for q in questions], k=1), strict=True):
                if question.value:
                    first[name].append(best.article == question.article and value_present(question.value, best.text))
                if name == "reranked":
                    shown[question.value is not None].append(best.score >= LEAST_SCORE)
    assert np.mean(first["reranked"]) > np.mean(first["plain"]) + 0.04
    assert np.mean(shown[True]) > 0.95 and np.mean(shown[False]) < 0.7


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"x" * 9000), Path.unlink])
@pytest.mark.parametrize("name", ["layers.safetensors", "head.safetensors", "calibration.json"])
def test_a_damaged_reranker_says_how_to_get_it_back(tmp_path, name, damage):
    folder = shutil.copytree(RERANKER, tmp_path / "reranker")
    damage(folder / name)
    with pytest.raises(ModelError, match="git checkout -- data/models"):
        load_reranker(folder)
