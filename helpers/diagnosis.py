"""The diagnosis quiz: six transcripts; is the trouble facts, behaviour or both?"""

from collections.abc import Sequence
from html import escape

import ipywidgets as widgets

from helpers.cards import BAD, GOOD, notice_card
from helpers.controls import WIDE, choices, choices_style
from helpers.scenarios import TICKETS, read_lines

DIAGNOSES = ("facts", "behaviour", "both")


class DiagnosisCase(widgets.VBox):
    """One transcript with a choice, a button that reveals the diagnosis, and the answer."""

    def __init__(self, number: int, row: dict[str, str]) -> None:
        self.row = row
        self.revealed = False
        told = f"<b>{number}. Customer:</b> {escape(row['ticket'])}<br><b>Bot:</b> {escape(row['reply'])}"
        self.transcript = widgets.HTML(f'<div style="max-width: 900px; padding-top: 0.8em; line-height: 1.45; overflow-wrap: anywhere">{told}</div>', layout=WIDE)
        self.choice = choices("Diagnosis", DIAGNOSES, value=None)
        self.reveal = widgets.Button(description="Reveal", tooltip=f"Show the diagnosis of transcript {number}")
        self.answer = widgets.HTML(layout=WIDE)
        self.reveal.on_click(self._reveal)
        super().__init__([self.transcript, self.choice, self.reveal, self.answer])

    def __repr__(self) -> str:
        return "DiagnosisCase()"

    @property
    def right(self) -> bool:
        """True if the learner chose the right diagnosis."""
        return self.choice.value == self.row["diagnosis"]

    def _reveal(self, button: object) -> None:
        if self.choice.value is None:
            self.answer.value = notice_card("Choose a diagnosis first.")
            return
        # The button stays enabled: one that is switched off loses the keyboard.
        self.revealed = self.choice.disabled = True
        opening = "Right" if self.right else f"Not {self.choice.value}"
        self.answer.value = notice_card(f"{opening}: {self.row['diagnosis']}. {self.row['why']}", GOOD if self.right else BAD)


class DiagnosisQuiz(widgets.VBox):
    """All transcripts of ``data/tickets/diagnosis.jsonl``, as ``cases``, and a ``score`` line.

    Args:
        rows: other transcripts, with ticket, reply, diagnosis and why.
    """

    def __init__(self, rows: Sequence[dict[str, str]] | None = None) -> None:
        rows = read_lines(TICKETS / "diagnosis.jsonl") if rows is None else rows
        self.cases = [DiagnosisCase(number, row) for number, row in enumerate(rows, 1)]
        self.score = widgets.HTML(layout=WIDE)
        for case in self.cases:
            case.reveal.on_click(self._count)
        self._count()
        super().__init__([choices_style(), *self.cases, self.score])

    def __repr__(self) -> str:
        return "DiagnosisQuiz()"

    def _count(self, button: object = None) -> None:
        revealed = [case for case in self.cases if case.revealed]
        right = sum(case.right for case in revealed)
        self.score.value = f"<div>{right} right of {len(revealed)} revealed; {len(self.cases)} transcripts in all.</div>"
