"""Two hundred things that a learner may do to each lab, in any order: it still works, and the kernel does not grow."""

import gc
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import ipywidgets as widgets
import psutil
import pytest
from fakes import FakeBot, passage, reply
from fixtures import FakeEmbedder, own_workspace  # noqa: F401

from helpers.claims import CLAIMS, Claim
from helpers.claims.labs import Recompute, UpdateCosts, in_words
from helpers.decisions import BRANCHES
from helpers.knowledge import HelpCenter
from helpers.paths import HELP_CENTER
from helpers.scenarios import load_tickets
from helpers.widgets import DecisionWalk, DiagnosisQuiz, FailureTracer, Predictions, TimeMachine, ToggleLab, plain_text

OPERATIONS = 200
WARM_UP = 60
GROWTH = 1.10
WORDS = ("", "How long is the warranty?", "<script>alert(1)</script>", "ÄÖ €£ \u202e\u0000", "a " * 400, "# Title\n\nA sentence.")


def controls(lab: widgets.Widget) -> Iterator[widgets.Widget]:
    """Give every control of a lab that a learner could use now."""
    for child in getattr(lab, "children", ()):
        yield from controls(child)
    if isinstance(lab, (widgets.Button, widgets.Dropdown, widgets.Select, widgets.ToggleButtons, widgets.Text, widgets.Textarea, widgets.BoundedFloatText, widgets.BoundedIntText)):
        if not getattr(lab, "disabled", False) and getattr(lab, "options", True):
            yield lab


def operate(control: widgets.Widget, rng: random.Random) -> None:
    """Do one of the things that a learner could do with ``control``."""
    if isinstance(control, widgets.Button):
        control.click()
    elif isinstance(control, (widgets.Dropdown, widgets.Select, widgets.ToggleButtons)):
        control.index = rng.randrange(len(control.options))
    elif isinstance(control, (widgets.Text, widgets.Textarea)):
        control.value = rng.choice(WORDS)
    else:
        control.value = rng.choice((control.min, control.max, control.value, min(control.max, control.min + 1)))


def shown(lab: widgets.Widget) -> str:
    """Return all the HTML that a lab shows now."""
    return getattr(lab, "value", "") if isinstance(lab, widgets.HTML) else "".join(shown(child) for child in getattr(lab, "children", ()))


def memory() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def toggle(folder: Path) -> widgets.Widget:
    return ToggleLab(lambda arm: FakeBot(f"I am {arm}."))


def machine(folder: Path) -> widgets.Widget:
    for name in ("warranty", "delivery-times"):
        (folder / "source").mkdir(exist_ok=True)
        (folder / "source" / f"{name}.md").write_text((HELP_CENTER / "current" / f"{name}.md").read_text(encoding="utf-8"), encoding="utf-8")
    source = HelpCenter.from_folder(folder / "source", embedder=FakeEmbedder())
    return TimeMachine(source, load_tickets("facts")[:3], {"RAG": lambda help_center: FakeBot("An answer.")}, folder / "mine")


def tracer(folder: Path) -> widgets.Widget:
    tickets = [*load_tickets("facts")[:20], *load_tickets("behaviour")[:20]]
    return FailureTracer({"rag": [reply("It lasts a while.", (passage(),)) for _ in tickets], "lora": [reply("I do not know.") for _ in tickets]}, tickets)


def recompute(folder: Path) -> widgets.Widget:
    return Recompute(CLAIMS)


def _asked(lab: ToggleLab) -> bool:
    lab.scenario.value, lab.tool.value, lab.beside.value = "facts", "rag", ""
    lab.own_words.value = "Is it still alive?"
    lab.ask.click()
    return "I am rag." in plain_text(lab.card.value) and "Is it still alive?" in plain_text(lab.card.value)


def _reset(lab: TimeMachine) -> bool:
    lab.shipped.click()
    lab.article.value, lab.text.value = "warranty", WORDS[-1]
    lab.sync.click()
    lab.shipped.click()
    return lab.text.value == (HELP_CENTER / "current" / "warranty.md").read_text(encoding="utf-8") and "An answer." in plain_text(lab.after.value)


def _kept(lab: Predictions) -> bool:
    lab.keep.click()
    return "Kept." in plain_text(lab.status.value)


def _walked(lab: DecisionWalk) -> bool:
    lab.examples["facts"].click()
    return lab.branch in BRANCHES and BRANCHES[lab.branch] in plain_text(lab.result.value)


def _computed(lab: Recompute) -> bool:
    lab.start.click()
    return "as stored" in plain_text(lab.card.value)


def _scored(lab: DiagnosisQuiz) -> bool:
    revealed = [case for case in lab.cases if case.revealed]
    return f"{sum(case.right for case in revealed)} right of {len(revealed)} revealed" in plain_text(lab.score.value)


def _summed(lab: UpdateCosts) -> bool:
    return in_words({name: number.value for name, number in lab.numbers.items()}, 2e7) in plain_text(lab.result.value)


LABS: dict[str, tuple[Callable[[Path], widgets.Widget], Callable[[widgets.Widget], bool]]] = {
    "toggle": (toggle, _asked),
    "quiz": (lambda folder: DiagnosisQuiz(), _scored),
    "machine": (machine, _reset),
    "tracer": (tracer, lambda lab: "Reply" in plain_text(lab.card.value)),
    "predictions": (lambda folder: Predictions({"a": "How often?", "b": "And then?"}), _kept),
    "walk": (lambda folder: DecisionWalk(), _walked),
    "recompute": (recompute, _computed),
    "costs": (lambda folder: UpdateCosts(2e7), _summed),
}


@pytest.mark.parametrize("name", LABS)
def test_random_use_leaves_a_lab_working_and_the_kernel_small(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Claim, "recompute", lambda self, report: self.stored())
    make, works = LABS[name]
    lab, rng, before = make(tmp_path), random.Random(name), 0
    for number in range(OPERATIONS):
        if number == WARM_UP:
            before = memory()
        operate(rng.choice(list(controls(lab))), rng)
        assert "Something unexpected went wrong" not in shown(lab)
    after = memory()
    assert works(lab)
    assert "Exception in callback" not in caplog.text, "ipywidgets logs what a button's callback raises, and goes on"
    assert after < GROWTH * before, f"from {before / 1e6:.0f} to {after / 1e6:.0f} MB"
