"""What a learner predicts is kept, and shown beside what was measured."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from fixtures import own_workspace  # noqa: F401

from helpers.predictions import Predictions, predictions_table, record
from helpers.scoring import Estimate
from helpers.widgets import plain_text

QUESTIONS = {"rag-facts": "facts_current of RAG", "rag-voice": "voice of RAG"}


def test_predictions_are_kept_and_come_back(own_workspace: Path) -> None:  # noqa: F811
    asked = Predictions(QUESTIONS)
    asked.numbers["rag-facts"].value = 0.8
    asked.keep.click()
    assert plain_text(asked.status.value).startswith("✓ Kept.")
    assert {name: number.value for name, number in Predictions(QUESTIONS).numbers.items()} == {"rag-facts": 0.8, "rag-voice": 0.5}


def test_a_measurement_stands_beside_the_prediction_and_changes_nothing_of_it(own_workspace: Path) -> None:  # noqa: F811
    asked = Predictions(QUESTIONS)
    asked.numbers["rag-facts"].value, asked.numbers["rag-voice"].value = 0.8, 0.3
    asked.keep.click()
    record({"rag-facts": Estimate(0.79, 0.7, 0.88, 44), "rag-voice": Estimate(0.0, 0.0, 0.0, 48)})
    assert "| facts_current of RAG | 0.80 | 0.79 [0.70, 0.88] (n = 44) | yes |" in predictions_table()
    assert "| voice of RAG | 0.30 | 0.00 [0.00, 0.00] (n = 48) | no |" in predictions_table()
    record({"rag-facts": Estimate(0.9, 0.8004, 0.96, 44)})
    assert "| 0.80 | 0.90 [0.80, 0.96] (n = 44) | yes |" in predictions_table(), "judged by what the table shows"


def test_seconds_can_be_predicted_too(own_workspace: Path) -> None:  # noqa: F811
    asked = Predictions({"claim-6": "seconds of a sync"}, largest=60)
    asked.numbers["claim-6"].value = 42
    asked.keep.click()
    assert asked.numbers["claim-6"].tooltip == "From 0 to 60" and "| seconds of a sync | 42.00 |" in predictions_table()


def record_many(workspace: str, name: str) -> None:
    os.environ["COURSE_WORKSPACE"] = workspace
    for number in range(30):
        record({f"{name}-{number}": Estimate(0.5, 0.4, 0.6, 10)})


def test_two_notebooks_keep_their_rows_at_once(own_workspace: Path) -> None:  # noqa: F811
    context = multiprocessing.get_context("spawn")
    kernels = [context.Process(target=record_many, args=(str(own_workspace), name)) for name in ("one", "two")]
    for kernel in kernels:
        kernel.start()
    for kernel in kernels:
        kernel.join(timeout=120)
    assert [kernel.exitcode for kernel in kernels] == [0, 0]
    assert len(json.loads((own_workspace / "predictions.json").read_text())) == 60


def test_what_is_missing_is_a_dash(own_workspace: Path) -> None:  # noqa: F811
    assert predictions_table().startswith("Nothing was predicted")
    Predictions({"rag-facts": "facts_current of RAG"})
    record({"rag-facts": Estimate(0.79, 0.7, 0.88, 44)})
    assert "| facts_current of RAG | - | 0.79 [0.70, 0.88] (n = 44) | - |" in predictions_table()
    Predictions({"other": "of | another"}).save()
    assert "| of / another | 0.50 | - | - |" in predictions_table()


@pytest.mark.parametrize("content", ["{half", "[]", '{"a": 3}', '{"a": {"predicted": "high"}}', '{"a": {"measured": {"value": 1}}}'])
def test_a_damaged_file_is_set_aside(own_workspace: Path, content: str) -> None:  # noqa: F811
    own_workspace.mkdir(parents=True, exist_ok=True)
    (own_workspace / "predictions.json").write_text(content)
    Predictions(QUESTIONS).save()
    assert (own_workspace / "predictions.damaged.json").read_text() == content
    assert set(json.loads((own_workspace / "predictions.json").read_text())) == set(QUESTIONS)


def test_predictions_that_cannot_be_written_are_a_message(own_workspace: Path) -> None:  # noqa: F811
    (own_workspace / "predictions.json").mkdir(parents=True)
    asked = Predictions(QUESTIONS)
    asked.keep.click()
    assert plain_text(asked.status.value).startswith("✗ Not kept")
