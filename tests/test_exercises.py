"""Every exercise says yes to sensible right answers, and no, with a reason, to wrong ones."""

from types import SimpleNamespace

import numpy as np
import pytest
from fakes import passage

from helpers.answers import number
from helpers.exercises import NOTEBOOKS, Exercise, exercise


class Index:
    """A help centre of one passage."""

    def __init__(self, text: str, article: str = "warranty") -> None:
        self.found = passage(text, article)

    def search(self, question: str, k: int = 3) -> list:
        return [self.found]


HITS = {1: 0.88, 2: 0.98, 3: 0.98, 5: 1.0}
NOW = Index("The warranty is three years.")
CONTEXT = {
    "choose-k": {"hits_at_k": HITS},
    "ask-the-index": {"help_center": NOW},
    "blind-adapter": {"facts": (0.93, 0.55), "voice": (0.95, 0.96)},
}
RIGHT = {
    "diagnose-three": [
        {"a": "facts", "b": "behaviour", "c": "both"},
        {"A": "Fact", "b": " Behavior ", "C": "BOTH"},
        ["facts", "behaviour", "both"],
        "facts, behaviour, both",
    ],
    "one-line-rule": [
        "If the model lacks knowledge, use RAG; if its behaviour is wrong, fine-tune.",
        "RAG for facts, fine-tuning for behavior",
        "facts or knowledge -> rag / voice and style -> LoRA",
        "If it knows enough but will not behave, fine-tune it; if it lacks facts, use retrieval",
        "Knowledge: RAG. Fine-tune for habits.",
        "Facts -> RAG, behaviour -> fine-tuning, both -> RAG and fine-tuning",
        "If the behaviour is fine but facts are wrong use RAG; if the facts are fine but the behaviour is wrong use fine-tuning",
        "If *what* it says is wrong, give it something to read (RAG). If *how* it acts is wrong, give it examples to learn (fine-tuning). If both are, do both.",
        "If it says outdated things, look them up with RAG; if it sounds wrong, fine-tune it.",
        "RAG for facts, fine-tuning for how the bot answers",
        "If what it says is wrong: RAG. If what it does is wrong: fine-tuning.",
        "Use RAG if the bot doesn't know enough, and fine-tune if it knows enough but responds badly.",
        "RAG when the facts are missing; fine-tuning when the facts are fine but the tone is not.",
        "If the bot is out of date, use RAG; if it behaves badly, fine-tune.",
        "RAG for what changes, fine-tuning for how it behaves",
        "If the bot knows enough but misbehaves, fine-tune; if it lacks facts, RAG",
        "If the facts are stale, RAG; if it never hands over, fine-tune.",
    ],
    "choose-k": [2, "2", 2.0],
    "ask-the-index": ["For how many years will you repair my garden for free?"],
    "change-an-article": [Index("The warranty is five years.")],
    "count-lora": [18816, "18816", "18,816", "18 816", 18816.0],
    "what-teaches-what": [{"a": "escalation", "b": "lookalike", "c": "reading", "d": "Voice"}, ["Escalation", "look-alike", "reading passages", "tone"]],
    "read-the-square": [{"base": "neither", "prompt": "neither", "rag": "facts only", "lora": "behaviour only", "hybrid": "both"}, "neither, neither, Facts, behavior only, both"],
    "blind-adapter": [{"facts": "falls", "voice": "stays"}, ["Lower", "same"]],
    "two-cases": [{"canteen": "rag", "summaries": "fine-tuned"}, "RAG, LoRA"],
    "price-change": [["rag", "hybrid"], "hybrid, RAG", {"RAG", "Hybrid"}, "rag and hybrid"],
    "carried-or-not": [{"a": "yes", "b": "no", "c": "No"}, "yes, no, no", ["Y", "n", "n"]],
    "update-budget": [5, "5", 5.0],
    "missing-arm": [{"a": "prompt", "b": "base", "c": "rag"}, "prompt only, base bot, RAG"],
    "first-router": ["logistic regression", "Logistic Regression", "LR", "logistic regression on sentence vectors"],
}
WRONG = {
    "diagnose-three": [
        ({"a": "both", "b": "behaviour", "c": "both"}, "a is not both"),
        ({"a": "facts"}, "b has no answer"),
        ({"z": "facts"}, "no item called z"),
        (["facts"], "Expected 3"),
        ({"facts", "behaviour", "both"}, "Expected 3 answers in this order"),
        (7, "Expected 3"),
    ],
    "one-line-rule": [
        ("Use RAG for behaviour and fine-tuning for facts", "next to its own tool"),
        ("facts: fine-tune, behaviour: RAG", "next to its own tool"),
        ("RAG for behaviour and not facts; fine-tuning for facts and not behaviour", "next to its own tool"),
        ("RAG does not mend facts, and fine-tuning does not mend behaviour", "what each tool is for"),
        ("Never use RAG for facts or fine-tuning for behaviour", "what each tool is for"),
        ("Facts are never mended by RAG, behaviour is never mended by fine-tuning", "what each tool is for"),
        ("Use fine-tuning for knowledge and behaviour, RAG for facts", "next to its own tool"),
        ("RAG for facts and behaviour, fine-tuning for behaviour and facts", "next to its own tool"),
        ("RAG for facts and behaviour, fine-tuning for nothing", "what each tool is for"),
        ("If the facts are wrong avoid RAG; if the behaviour is wrong avoid fine-tuning", "what each tool is for"),
        ("Knowledge problems call for RAG or fine-tuning, behaviour too", "one tool for each"),
        ("RAG is for facts", "no word for behaviour, fine-tuning"),
        (12, "no word for"),
    ],
    "choose-k": [(1, "0.88"), (3, "more than you need"), (4, "no measurement"), ("three", "is none"), ([2], "is none")],
    "ask-the-index": [
        ("How long is the Warranty?", "uses the word"),
        ("Is it three years or more?", "gives the answer away"),
        ("repair?", "three words"),
        (3, "three words"),
    ],
    "change-an-article": [(NOW, "still says 'three years'"), (Index("Water it."), "says 'five years'"), (Index("A gift card is valid for five years.", "gifts"), "says 'five years'"), ("five years", "Hand in the HelpCenter")],
    "count-lora": [
        (273920, "stays frozen"),
        (5120, "one of the two"),
        (13696, "one of the two"),
        (37632, "twice"),
        (1, "Add their sizes"),
        ("many", "is none"),
        (True, "is none"),
    ],
    "what-teaches-what": [({"a": "voice", "b": "look-alike", "c": "reading", "d": "escalation"}, "a is not voice"), ({"a": "jokes"}, "not one of")],
    "read-the-square": [
        ({"base": "neither", "prompt": "behaviour only", "rag": "facts only", "lora": "behaviour only", "hybrid": "both"}, "prompt is not behaviour only"),
        ("rag", "Expected 5"),
    ],
    "blind-adapter": [({"facts": "stays", "voice": "stays"}, "0.93 -> 0.55"), ({"facts": "falls", "voice": "explodes"}, "not one of")],
    "two-cases": [({"canteen": "fine-tuned", "summaries": "rag"}, "canteen is not lora"), ({}, "no answer yet")],
    "price-change": [
        (["rag"], "One more arm"),
        (["rag", "hybrid", "prompt"], "where would the new price"),
        ("wish", "no arm called wish"),
        ([], "a list of arms"),
        (3, "a list of arms"),
    ],
    "carried-or-not": [({"a": "no", "b": "no", "c": "no"}, "a is not no"), ("yes, yes, yes", "b is not yes. c is not yes"), ("perhaps", "Expected 3")],
    "update-budget": [(4, "less by training"), (50, "already with fewer"), ("many", "is none")],
    "missing-arm": [({"a": "base", "b": "base", "c": "rag"}, "a is not base"), ("prompt", "Expected 3")],
    "first-router": [("LoRA", "trains in a second"), ("a person", "trains in a second"), ("LoRA, since logistic regression is too simple", "trains in a second")],
}
CASES_RIGHT = [(name, answer) for name, answers in RIGHT.items() for answer in answers]
CASES_WRONG = [(name, *case) for name, cases in WRONG.items() for case in cases]


def made(name: str) -> Exercise:
    return exercise(name, **CONTEXT.get(name, {}))


@pytest.mark.parametrize(("name", "answer"), CASES_RIGHT)
def test_right_answers(name: str, answer: object, capsys: pytest.CaptureFixture) -> None:
    assert made(name).check(answer) is True
    assert capsys.readouterr().out == "Right.\n"


@pytest.mark.parametrize(("name", "answer", "reason"), CASES_WRONG)
def test_wrong_answers_get_a_reason(name: str, answer: object, reason: str, capsys: pytest.CaptureFixture) -> None:
    assert made(name).check(answer) is False
    said = capsys.readouterr().out
    assert said.startswith("Not yet. ") and reason in said


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("answer", [None, ..., "", -1, float("nan"), b"x", [], {}, [None], {"a": None}, object(), SimpleNamespace(search=None)])
def test_odd_input_is_wrong_and_never_raises(name: str, answer: object, capsys: pytest.CaptureFixture) -> None:
    assert made(name).check(answer) is False
    assert len(capsys.readouterr().out) > 10


def test_every_notebook_has_two_exercises_with_hint_and_solution(capsys: pytest.CaptureFixture) -> None:
    assert {name for names in NOTEBOOKS.values() for name in names} == set(RIGHT) == set(WRONG)
    for names in NOTEBOOKS.values():
        assert len(names) >= 2
        for name in names:
            one = made(name)
            one.hint()
            hint = capsys.readouterr().out
            one.solution()
            assert one.question and hint.strip() and capsys.readouterr().out not in ("", hint)


def test_the_prediction_is_checked_against_what_was_measured(capsys: pytest.CaptureFixture) -> None:
    steady = exercise("blind-adapter", facts=(0.90, 0.91), voice=(0.95, 0.70))
    assert steady.check({"facts": "stays", "voice": "falls"}) and not steady.check({"facts": "falls", "voice": "stays"})


def test_an_index_that_fails_is_a_sentence(capsys: pytest.CaptureFixture) -> None:
    class Broken:
        def search(self, question: str, k: int = 3) -> list:
            raise RuntimeError("no index")

    assert exercise("ask-the-index", help_center=Broken()).check("Will you mend it for free?") is False
    assert "no index" in capsys.readouterr().out


def test_an_unknown_name_lists_the_exercises() -> None:
    with pytest.raises(KeyError, match="count-lora"):
        exercise("nothing")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(7552, 7552), ("7,552", 7552), ("7 552", 7552), (np.int64(5), 5), (np.float32(0.5), 0.5), (True, None), (np.bool_(True), None), (None, None), ("five", None), ([5], None), ("0,5", None), ("1,2345", None), ("7_552.5", 7552.5), ("nan", None)],
)
def test_numbers_are_read_in_any_type_and_spelling(answer: object, expected: float | None) -> None:
    assert number(answer) == expected
