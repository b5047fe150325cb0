"""The embedder's adapter is trained on companies' questions, and never ranks what it was trained on."""

import pytest

from helpers.base_model import retrieval
from helpers.base_model.companies import Company, parse
from helpers.base_model.retrieval import pairs_of, rank
from helpers.models import published_embedder


@pytest.fixture
def companies() -> list[Company]:
    texts = {
        "bakery": "# Opening hours\n- We open at seven.\n? When do you open?\n- On Sundays we rest.\n? Are you there on Sunday?\n! Do you deliver?\n",
        "gym": "# Membership\n- A month costs $20.\n? What is the price?\n- You can cancel any day.\n? How do I leave?\n",
    }
    return [parse(text, f"{name}.txt") for name, text in texts.items()]


def test_questions_that_nothing_answers_teach_nothing(companies):
    bakery = pairs_of(companies[0])
    assert bakery.questions == ["When do you open?", "Are you there on Sunday?"] and bakery.answers == [0, 1]
    assert bakery.alone == ["We open at seven.", "On Sundays we rest."] and bakery.in_context[0] == "Opening hours:\nWe open at seven."


def test_each_half_is_ranked_by_an_adapter_that_never_saw_it(companies, tmp_path, monkeypatch):
    taught = []
    monkeypatch.setattr(retrieval, "train", lambda pairs, passes, seed: taught.append(pairs) or published_embedder()._client)
    rank(companies, tmp_path / "not yet there" / "rankings.npz")
    assert [[part.alone for part in pairs] for pairs in taught] == [[pairs_of(companies[1]).alone], [pairs_of(companies[0]).alone]]
    assert all(question.ranking[0] == question.answer for company in companies for question in company.questions if question.answer is not None)
    assert sorted(companies[0].questions[-1].ranking) == [0, 1]


def test_rankings_are_kept_until_a_company_changes(companies, tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(retrieval, "train", lambda pairs, passes, seed: runs.append(seed) or published_embedder()._client)
    cache = tmp_path / "rankings.npz"
    rank(companies, cache)
    rank(companies, cache)
    assert runs == [0, 1]
    companies[0].sentences[0].text = "We open at eight."
    rank(companies, cache)
    assert runs == [0, 1, 0, 1]
