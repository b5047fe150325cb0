"""How the course's controls are laid out and named: as wide as the page allows, never wider than a card."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import ipywidgets as widgets

from helpers.scenarios import Ticket

WIDE = {"width": "auto", "max_width": "900px"}
LABELLED = {"description_width": "110px"}
LABEL_LENGTH = 90
# Two cards stand next to each other where there is room for both, and below each other where there is not.
SIDE_BY_SIDE = {"display": "flex", "flex_flow": "row wrap", "max_width": "1400px", "grid_gap": "8px"}
HALF = {"flex": "1 1 380px", "max_width": "900px", "min_width": "0"}
# A circle, empty or full, says what is chosen without a colour; a screen reader says "chosen".
CHOICES_STYLE = """<style>
.fern-choices .widget-toggle-button::before {content: "○ "; content: "○ " / ""}
.fern-choices .widget-toggle-button.mod-active::before {content: "● "; content: "● " / "chosen: "}
.fern-choices .widget-toggle-button.mod-active {font-weight: 600}
.fern-choices.fern-one-line {display: flex}
.fern-choices.fern-one-line > .widget-label {flex: none; margin-right: 8px; text-align: right}
</style>"""


def choices(description: str, options: Sequence, label_width: str | None = "110px", **settings: object) -> widgets.ToggleButtons:
    """Return buttons of which one can be chosen; they need ``choices_style`` once on the page.

    Args:
        label_width: of the label beside the buttons; None puts it above them.
    """
    style = {"description_width": label_width or "initial", "button_width": "auto"}
    # Without a tooltip of its own a label says "null" under the mouse.
    buttons = widgets.ToggleButtons(options=options, description=description, tooltip=description, style=style, **settings)
    for name in ("fern-choices", *(("fern-one-line",) if label_width else ())):
        buttons.add_class(name)
    return buttons


def choices_style() -> widgets.HTML:
    """Return an invisible widget that makes ``choices`` look as they should."""
    return widgets.HTML(CHOICES_STYLE, layout={"display": "none"})


def ticket_options(tickets: Sequence[Ticket]) -> list[tuple[str, str]]:
    """Return (label, id) of each ticket for a list; a long ticket is cut."""
    return [(f"{t.id}: {t.text if len(t.text) <= LABEL_LENGTH else t.text[: LABEL_LENGTH - 1].rstrip() + '…'}", t.id) for t in tickets]


class Quiet:
    """For a lab whose observers do nothing while it ``_waits``: for an answer, or for its other controls.

    A choice is delivered in another thread, so the two are kept apart: neither can take back the other.
    """

    _busy = False
    _changing = 0

    @property
    def _waits(self) -> bool:
        return self._busy or self._changing > 0

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change several controls without an answer to each step."""
        self._changing += 1
        try:
            yield
        finally:
            self._changing -= 1
