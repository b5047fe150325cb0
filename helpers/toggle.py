"""The toggle lab: one ticket, five bots, and a card with what each of them wrote."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ipywidgets as widgets

from helpers.cards import error_card, notice_card, reply_card
from helpers.controls import LABELLED, WIDE, choices, choices_style
from helpers.scenarios import ARM_NAMES, ARMS, SCENARIOS, Ticket, load_tickets, make_bot as course_bot

OWN = "own"
FIRST = {"facts": ("f004", "f075", "f102", "u002"), "behaviour": ("b089", "b001", "b057", "b127", "b101")}
LABEL_LENGTH = 90


def scenario_tickets(scenario: str) -> list[Ticket]:
    """Return a scenario's held-out tickets, a few telling ones first; unanswerable ones belong to ``facts``."""
    tickets = [*load_tickets(scenario), *(load_tickets("unanswerable") if scenario == "facts" else ())]
    by_id = {ticket.id: ticket for ticket in tickets}
    first = [by_id[i] for i in FIRST[scenario] if i in by_id]
    return first + [ticket for ticket in tickets if ticket not in first]


class ToggleLab(widgets.VBox):
    """Choose a scenario, a tool and a ticket, and read the reply as a card.

    The controls are attributes, so that a cell can set them: ``scenario``,
    ``tool``, ``ticket`` (a ticket's id, or ``own``), ``own_words``, ``ask`` and
    ``card``. Choosing a scenario, a tool or a ticket asks at once; ``ask`` takes the
    learner's own words where there are any, and the chosen ticket otherwise.

    Args:
        make_bot: from an arm's name to an object with ``ask(text) -> Reply``;
            bots are made at first use and kept.
    """

    def __init__(self, make_bot: Callable[[str], object] = course_bot) -> None:
        self.make_bot = make_bot
        self.bots: dict[str, object] = {}
        self._busy = False
        self._tickets: dict[str, Ticket] = {}
        self.scenario = choices("Scenario", [(label, name) for name, label in SCENARIOS.items()])
        self.tool = choices("Tool", [(ARM_NAMES[arm], arm) for arm in ARMS])
        self.ticket = widgets.Dropdown(description="Ticket", tooltip="With the keyboard: Space opens the list", layout=WIDE, style=LABELLED)
        placeholder = "Write what a customer would, then press Ask"
        self.own_words = widgets.Text(description="Your own words", placeholder=placeholder, tooltip=placeholder, layout=WIDE, style=LABELLED)
        self.ask = widgets.Button(description="Ask", button_style="primary", tooltip="Ask the chosen bot")
        welcome = "Choose a tool or a ticket, or press Ask. Predict first: are the facts right, is the behaviour right?"
        self.card = widgets.HTML(notice_card(welcome), layout=WIDE)
        self._offer_tickets()
        self.scenario.observe(self._change_scenario, names="value")
        self.tool.observe(self._refresh, names="value")
        self.ticket.observe(self._refresh, names="value")
        self.ask.on_click(self._ask)
        super().__init__([choices_style(), self.scenario, self.tool, self.ticket, self.own_words, self.ask, self.card])

    def __repr__(self) -> str:
        return "ToggleLab()"

    def _offer_tickets(self) -> None:
        tickets = scenario_tickets(self.scenario.value)
        self._tickets = {ticket.id: ticket for ticket in tickets}
        self.ticket.options = [*_labelled(tickets), ("your own words, below", OWN)]
        self.ticket.value = tickets[0].id

    def _change_scenario(self, change: object) -> None:
        with self._quietly():
            self._offer_tickets()
        self._refresh()

    def _ask(self, button: object) -> None:
        if self.own_words.value.strip():
            with self._quietly():
                self.ticket.value = OWN
        self._refresh()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change controls without an answer to each step."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before

    def _request(self) -> tuple[str, Ticket | None, str]:
        ticket = self._tickets.get(self.ticket.value)
        return self.tool.value, ticket, ticket.text if ticket else self.own_words.value

    def _refresh(self, change: object = None) -> None:
        """Answer what the controls ask for, and again if they were changed meanwhile."""
        if self._busy:
            return
        # Ask stays enabled: a button that is switched off loses the keyboard. What is pressed meanwhile waits.
        self._busy = True
        try:
            answered = None
            while answered != self._request():
                answered = self._request()
                self.card.value = self._answer(*answered)
        finally:
            self._busy = False

    def _answer(self, arm: str, ticket: Ticket | None, text: str) -> str:
        if not text.strip():
            return notice_card("There is nothing to answer yet. Write what a customer would, then press Ask.")
        self.card.value = notice_card(_working(arm, arm in self.bots))
        try:
            if arm not in self.bots:
                self.bots[arm] = self.make_bot(arm)
            return reply_card(self.bots[arm].ask(text), ticket, arm)
        except Exception as error:
            # A widget's callback is the last place where an error can still become a message.
            return error_card(error)


def _labelled(tickets: Sequence[Ticket]) -> list[tuple[str, str]]:
    return [(f"{t.id}: {t.text if len(t.text) <= LABEL_LENGTH else t.text[: LABEL_LENGTH - 1].rstrip() + '…'}", t.id) for t in tickets]


def _working(arm: str, ready: bool) -> str:
    name = f"The {ARM_NAMES[arm]}" if arm == "base" else f"The {ARM_NAMES[arm]} bot"
    if ready:
        return f"{name} is writing its reply."
    trains = " At its very first use it trains its adapter, which takes about a minute." if arm in ("lora", "hybrid") else ""
    return f"{name} is being loaded.{trains}"
