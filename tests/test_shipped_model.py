"""The shipped base model keeps its three promises: it reads, it remembers, it never escalates.

A floor is what DESIGN.md or an issue asks for, or, where the model falls short of
that, what it reached. The card tells the two apart, and says where this model is
a little below the one before it and what was gained for that.
"""

import pytest

from helpers.base_model import evaluate
from helpers.scenarios import current_help_center
from helpers.scoring import Estimate


@pytest.fixture(scope="module")
def fernhollow() -> dict[str, Estimate]:
    return evaluate.reading(*evaluate.fernhollow(), k=evaluate.PASSAGES)


@pytest.fixture(scope="module")
def suites() -> dict[str, dict[str, Estimate]]:
    return {name: evaluate.reading(*suite, k=evaluate.PASSAGES) for name, suite in evaluate.load_suites().items()}


def mean(suites: dict[str, dict[str, Estimate]], name: str) -> float:
    return sum(scores[name].value for scores in suites.values()) / len(suites)


@pytest.mark.parametrize(("name", "floor"), [("value present", 0.92), ("value present, if shown", 0.96), ("citation right", 0.95), ("abstains, nothing answers", 0.69)])
def test_it_reads_todays_help_center(fernhollow: dict[str, Estimate], name: str, floor: float):
    assert fernhollow[name].value >= floor


@pytest.mark.parametrize(("name", "floor"), [("shown", 0.90), ("value present", 0.82), ("value present, if shown", 0.90), ("citation right", 0.88), ("abstains, nothing answers", 0.78)])
def test_it_reads_companies_of_other_trades(suites: dict[str, dict[str, Estimate]], name: str, floor: float):
    assert mean(suites, name) >= floor


def test_it_reads_every_trade(suites: dict[str, dict[str, Estimate]]):
    assert min(scores["value present"].value for scores in suites.values()) >= 0.69


def test_it_copies_words_whole(suites: dict[str, dict[str, Estimate]]):
    assert mean(suites, "garbled") <= 0.01


def test_it_remembers_the_first_edition():
    assert evaluate.remembering()["first edition remembered"].value >= 0.96


def test_it_never_escalates_by_itself():
    assert evaluate.escalating(current_help_center())["escalates without an adapter"].value == 0


def test_a_passage_overrules_the_memory():
    """All facts have another value of their kind at once, so many a sentence beside the right one looks like the answer, too."""
    scores = evaluate.overruled("first")
    assert scores["first edition with other values, if shown"].value >= 0.95
    assert scores["first edition with other values, old value instead"].value == 0
