"""Two labs: compute a stored result again, and project what updates cost."""

from collections.abc import Mapping, Sequence

import ipywidgets as widgets

from helpers.cards import BAD, GOOD, error_card, notice_card
from helpers.claims.claim import Claim, Record
from helpers.controls import LABELLED, WIDE

OPERATIONS_TO_READ = 2
# Forward 2, backward through the frozen weights 2; the thin matrices themselves hardly count.
OPERATIONS_TO_TRAIN_LORA = 4
ASSUMPTIONS = {
    "updates": ("Updates a month", 20, "Days on which at least one article changes"),
    "questions": ("Questions a month", 10_000, "Each one brings passages into the prompt"),
    "passages": ("Tokens of passages", 80, "Tokens that retrieval adds to one prompt"),
    "model": ("Parameters (millions)", 7_000, "Of the language model"),
    "training": ("Tokens in a training", 500_000, "Examples times passes"),
    "article": ("Tokens in an article", 400, "What a sync embeds for one change"),
}


class Recompute(widgets.VBox):
    """Choose a claim and compute its stored result again, in this kernel.

    ``claim``, ``start`` and ``card`` are there for a cell to use; ``record`` holds the
    last run. Nothing stored is changed.
    """

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.claims = {claim.number: claim for claim in claims}
        self.record: Record | None = None
        options = [(f"Claim {claim.number}, about {_length(claim.stored().seconds)}: {claim.says}", claim.number) for claim in claims]
        self.claim = widgets.Dropdown(description="Claim", options=options, tooltip="With the keyboard: Space opens the list", layout=WIDE, style=LABELLED)
        self.start = widgets.Button(description="Compute again", tooltip="Run this claim's experiment now", layout={"width": "auto", "align_self": "flex-start"})
        self.card = widgets.HTML(notice_card("The results above are stored. Choose a claim and press the button to compute its numbers again on this machine."), layout=WIDE)
        self.start.on_click(self._run)
        super().__init__([self.claim, self.start, self.card])

    def __repr__(self) -> str:
        return "Recompute()"

    def _run(self, button: object) -> None:
        claim = self.claims[self.claim.value]
        try:
            self.record = claim.recompute(lambda line: setattr(self.card, "value", notice_card(f"Running: {line}")))
            differing = claim.differences(claim.stored(), self.record)
            self.card.value = notice_card(_compared(claim, self.record, differing), BAD if differing else GOOD)
        except KeyboardInterrupt:
            self.card.value = notice_card("Stopped. The stored result is as it was; press the button to start again.")
        except Exception as error:
            # A widget's callback is the last place where an error can still become a message.
            self.card.value = error_card(error)


def _length(seconds: float) -> str:
    return f"{round(seconds, -1):.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


def _compared(claim: Claim, record: Record, differing: Sequence[str]) -> str:
    figure = f"{claim.predicted}: {record.outcome.measures[claim.predicted]}"
    if differing:
        return f"Computed again in {record.seconds:.0f} s, and it differs from the stored result. {'. '.join(differing)}. {figure}."
    return f"Computed again in {record.seconds:.0f} s, as stored (within {claim.tolerance}): {claim.verdict(record)}. {figure}."


class UpdateCosts(widgets.VBox):
    """How many operations a month RAG and fine-tuning take to stay up to date, under assumptions that can be edited.

    ``numbers`` holds the assumptions by name, ``result`` shows the sums and where they cross.
    """

    def __init__(self, embedder_parameters: float) -> None:
        self.embedder_parameters = embedder_parameters
        self.numbers = {
            name: widgets.BoundedIntText(value, min=0, max=10**9, description=label, tooltip=help_text, style={"description_width": "11em"}, layout={"width": "24em", "max_width": "100%"})
            for name, (label, value, help_text) in ASSUMPTIONS.items()
        }
        self.result = widgets.HTML(layout=WIDE)
        for number in self.numbers.values():
            number.observe(self._refresh, names="value")
        self._refresh()
        super().__init__([*self.numbers.values(), self.result])

    def __repr__(self) -> str:
        return "UpdateCosts()"

    def _refresh(self, change: object = None) -> None:
        self.result.value = notice_card(in_words({name: number.value for name, number in self.numbers.items()}, self.embedder_parameters))


def monthly_operations(assumptions: Mapping[str, float], embedder_parameters: float) -> dict[str, float]:
    """Return operations a month to stay up to date: of RAG, of fine-tuning, and how many updates make them equal.

    RAG embeds what changed and reads passages with every question; fine-tuning
    trains anew at every update (operations by Kaplan et al. 2020, arXiv 2001.08361).
    """
    model = assumptions["model"] * 1e6
    reading = assumptions["questions"] * OPERATIONS_TO_READ * model * assumptions["passages"]
    sync = OPERATIONS_TO_READ * embedder_parameters * assumptions["article"]
    training = OPERATIONS_TO_TRAIN_LORA * model * assumptions["training"]
    crossing = reading / (training - sync) if training > sync else float("inf")
    return {"rag": reading + assumptions["updates"] * sync, "fine-tuning": assumptions["updates"] * training, "crossing": crossing}


def in_words(assumptions: Mapping[str, float], embedder_parameters: float) -> str:
    """Return the sums of ``monthly_operations`` as sentences."""
    found = monthly_operations(assumptions, embedder_parameters)
    cheaper = "Both take the same" if found["rag"] == found["fine-tuning"] else f"{'RAG' if found['rag'] < found['fine-tuning'] else 'Fine-tuning'} takes less"
    crossing = f"From {found['crossing']:,.1f} updates a month on, RAG takes less." if found["crossing"] != float("inf") else "With these numbers a training costs no more than a sync."
    return f"RAG: {found['rag']:.1e} operations a month, to read passages and to embed what changed. Fine-tuning: {found['fine-tuning']:.1e}, all of them to train. {cheaper} here. {crossing}"
