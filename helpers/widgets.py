"""The course's widgets in one place, and the progress bar of a training.

Observers write HTML values and print nothing, so that a notebook's outputs stay
the same from run to run; ``plain_text(lab.card.value)`` is what a reader sees.
"""

import ipywidgets

from helpers.cards import plain_text
from helpers.decision_walk import DecisionWalk
from helpers.diagnosis import DiagnosisQuiz
from helpers.predictions import Predictions
from helpers.time_machine import TimeMachine
from helpers.toggle import ToggleLab
from helpers.tracer import FailureTracer

__all__ = ["DecisionWalk", "DiagnosisQuiz", "FailureTracer", "Predictions", "TimeMachine", "ToggleLab", "TrainingProgress", "plain_text"]


class TrainingProgress(ipywidgets.VBox):
    """A bar and a line of text; pass it as ``progress`` to ``train_adapter``.

    ``losses`` keeps the loss of each step.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.bar = ipywidgets.IntProgress(description="Training", tooltip="Steps done", min=0, max=1, layout={"width": "auto", "max_width": "900px"})
        self.label = ipywidgets.HTML("<div>Not started.</div>")
        super().__init__([self.bar, self.label])

    def __repr__(self) -> str:
        return "TrainingProgress()"

    def __call__(self, step: int, steps: int, loss: float) -> None:
        """Show that ``step`` of ``steps`` is done, with its loss (nats a token)."""
        self.losses.append(loss)
        self.bar.max, self.bar.value = max(steps, 1), step
        self.label.value = f"<div>Step {step} of {steps}, loss {loss:.2f}{', done' if step >= steps else ''}.</div>"
