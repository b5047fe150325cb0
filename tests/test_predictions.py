"""What a learner predicts is kept, and shown beside what was measured."""

import json
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


def test_what_is_missing_is_a_dash(own_workspace: Path) -> None:  # noqa: F811
    assert predictions_table().startswith("Nothing was predicted")
    record({"rag-facts": Estimate(0.79, 0.7, 0.88, 44)})
    assert "| rag-facts | - | 0.79 [0.70, 0.88] (n = 44) | - |" in predictions_table()
    Predictions({"other": "of | another"}).save()
    assert "| of / another | 0.50 | - | - |" in predictions_table()


@pytest.mark.parametrize("content", ["{half", "[]", '{"a": 3}'])
def test_a_damaged_file_is_set_aside(own_workspace: Path, content: str) -> None:  # noqa: F811
    own_workspace.mkdir(parents=True, exist_ok=True)
    (own_workspace / "predictions.json").write_text(content)
    Predictions(QUESTIONS).save()
    assert (own_workspace / "predictions.damaged.json").read_text() == content
    assert set(json.loads((own_workspace / "predictions.json").read_text())) == set(QUESTIONS)


def test_predictions_that_cannot_be_written_are_a_message(own_workspace: Path) -> None:  # noqa: F811
    (own_workspace / "predictions.part").mkdir(parents=True)
    asked = Predictions(QUESTIONS)
    asked.keep.click()
    assert plain_text(asked.status.value).startswith("✗ Not kept")
