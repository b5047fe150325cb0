"""The learner's predictions: kept before a measurement, shown beside it at the end."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict

import filelock
import ipywidgets as widgets

from helpers.cards import BAD, GOOD, notice_card
from helpers.controls import WIDE
from helpers.paths import workspace, write_whole
from helpers.scoring import Estimate

FILE = "predictions.json"

Rows = dict[str, dict]


class Predictions(widgets.VBox):
    """A number for each question, and a button that keeps what was predicted.

    ``numbers`` (by name), ``keep`` and ``status`` are there for a cell to use. What
    was kept before comes back, and a kept prediction is never changed by a measurement.

    Args:
        questions: what is predicted, by name; the names are those given to ``record``.
        largest: the largest number that can be predicted; 1 for a share.
    """

    def __init__(self, questions: Mapping[str, str], largest: float = 1.0) -> None:
        self.questions = dict(questions)
        # Number boxes and not sliders: a slider of ipywidgets has no name for a screen reader.
        self.numbers = {
            name: widgets.BoundedFloatText(largest / 2, min=0, max=largest, step=largest / 20, description=question, tooltip="From 0 (never) to 1 (always)" if largest == 1 else f"From 0 to {largest:g}", style={"description_width": "24em"}, layout={"width": "32em", "max_width": "100%"})
            for name, question in questions.items()
        }
        self.keep = widgets.Button(description="Keep my predictions", tooltip=f"Write them to {FILE} in your workspace", layout={"width": "auto"})
        self.status = widgets.HTML(layout=WIDE)
        self.keep.on_click(lambda _: self.save())
        try:
            for name, row in _read().items():
                if name in self.numbers and row.get("predicted") is not None:
                    self.numbers[name].value = row["predicted"]
            _keep({name: {"question": question} for name, question in self.questions.items()})
        except OSError as error:
            self.status.value = notice_card(str(error), BAD)
        super().__init__([*self.numbers.values(), self.keep, self.status])

    def __repr__(self) -> str:
        return "Predictions()"

    def save(self) -> None:
        """Keep the predictions; on any error say so, and leave the file as it was."""
        try:
            _keep({name: {"question": question, "predicted": round(self.numbers[name].value, 2)} for name, question in self.questions.items()})
            self.status.value = notice_card("Kept. Notebook 04 shows them beside what was measured.", GOOD)
        except OSError as error:
            self.status.value = notice_card(f"Not kept: {error}", BAD)


def record(measured: Mapping[str, Estimate]) -> None:
    """Keep measurements by name, for the table at the end of the course."""
    _keep({name: {"measured": asdict(found)} for name, found in measured.items()})


def predictions_table() -> str:
    """Return Markdown: each question with what was predicted and what was measured; a dash for what is not there."""
    lines = ["| question | you predicted | measured | inside the interval |", "|---|---|---|---|"]
    for name, row in _read().items():
        predicted, found = row.get("predicted"), Estimate(**row["measured"]) if row.get("measured") else None
        inside = "-" if predicted is None or found is None else "yes" if round(found.low, 2) <= predicted <= round(found.high, 2) else "no"
        question = row.get("question", name).replace("|", "/")
        lines.append(f"| {question} | {'-' if predicted is None else f'{predicted:.2f}'} | {found or '-'} | {inside} |")
    return "\n".join(lines) if len(lines) > 2 else "Nothing was predicted or measured yet. Notebooks 00 to 03 do both."


def _read() -> Rows:
    """Return what is kept; a damaged file is set aside, never overwritten."""
    file = workspace() / FILE
    if not file.exists():
        return {}
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        if all(_is_sound(row) for row in rows.values()):
            return rows
    except (ValueError, AttributeError, TypeError):
        pass
    os.replace(file, file.with_name("predictions.damaged.json"))
    return {}


def _is_sound(row: dict) -> bool:
    """True for what ``_keep`` writes. A measurement of another shape raises TypeError."""
    measured = row.get("measured")
    numbers = [value for value in (row.get("predicted"), *(vars(Estimate(**measured)).values() if measured else ())) if value is not None]
    return isinstance(row.get("question", ""), str) and all(isinstance(value, int | float) for value in numbers)


def _keep(news: Rows) -> None:
    """Add to the rows that are kept; two open notebooks write one after the other."""
    with filelock.FileLock(workspace() / f"{FILE}.lock"):
        rows = _read()
        for name, row in news.items():
            rows[name] = {**rows.get(name, {}), **row}
        write_whole(workspace() / FILE, json.dumps(rows, indent=1, ensure_ascii=False))
