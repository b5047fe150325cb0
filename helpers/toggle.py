"""The toggle lab: one ticket, five bots, and a card with what each of them wrote."""

from collections.abc import Callable

import ipywidgets as widgets

from helpers.bots import Reply
from helpers.cards import error_card, notice_card, reply_card
from helpers.controls import HALF, LABELLED, SIDE_BY_SIDE, WIDE, Quiet, choices, choices_style, ticket_options
from helpers.scenarios import ARM_NAMES, ARMS, SCENARIOS, Ticket, load_tickets, make_bot as course_bot

OWN = "own"
FIRST = {"facts": ("f042", "f075", "f004", "f102", "u002"), "behaviour": ("b088", "b001", "b057", "b127", "b101")}
NOBODY = ""


def scenario_tickets(scenario: str) -> list[Ticket]:
    """Return a scenario's held-out tickets, a few telling ones first; unanswerable ones belong to ``facts``."""
    tickets = [*load_tickets(scenario), *(load_tickets("unanswerable") if scenario == "facts" else ())]
    by_id = {ticket.id: ticket for ticket in tickets}
    first = [by_id[i] for i in FIRST[scenario] if i in by_id]
    return first + [ticket for ticket in tickets if ticket not in first]


class ToggleLab(Quiet, widgets.VBox):
    """Choose a scenario, a tool and a ticket, and read the reply as a card.

    The controls are attributes, so that a cell can set them: ``scenario``,
    ``tool``, ``beside`` (a second tool, or "" for none), ``ticket`` (a ticket's id,
    or ``own``), ``own_words`` and ``ask``. ``card`` shows the reply, and ``card_beside``
    the second tool's reply to the same ticket. A reply is kept until ``ask`` is pressed.
    Choosing a scenario, a tool or a ticket asks at once, and so does Enter in ``own_words``; ``ask`` takes the learner's own words where there are any, and the chosen ticket otherwise.

    Args:
        make_bot: from an arm's name to an object with ``ask(text) -> Reply``;
            bots are made at first use and kept.
    """

    def __init__(self, make_bot: Callable[[str], object] = course_bot) -> None:
        self.make_bot = make_bot
        self.bots: dict[str, object] = {}
        self._replies: dict[tuple[str, str], Reply] = {}
        self._tickets: dict[str, Ticket] = {}
        self.scenario = choices("Scenario", [(label, name) for name, label in SCENARIOS.items()])
        self.tool = choices("Tool", [(ARM_NAMES[arm], arm) for arm in ARMS])
        others = [("no other tool", NOBODY), *((ARM_NAMES[arm], arm) for arm in ARMS)]
        self.beside = widgets.Dropdown(description="Beside it", options=others, tooltip="A second tool answers the same ticket", layout=WIDE, style=LABELLED)
        self.ticket = widgets.Dropdown(description="Ticket", tooltip="With the keyboard: Space opens the list", layout=WIDE, style=LABELLED)
        placeholder = "Write what a customer would, then press Ask"
        self.own_words = widgets.Text(description="Your own words", continuous_update=False, placeholder=placeholder, tooltip=placeholder, layout=WIDE, style=LABELLED)
        self.ask = widgets.Button(description="Ask", button_style="primary", tooltip="Ask the chosen bot")
        welcome = "Choose a tool or a ticket, or press Ask. Predict first: are the facts right, is the behaviour right?"
        self.card = widgets.HTML(notice_card(welcome), layout=HALF)
        self.card_beside = widgets.HTML(layout={**HALF, "display": "none"})
        self._offer_tickets()
        self.scenario.observe(self._change_scenario, names="value")
        self.tool.observe(self._refresh, names="value")
        self.beside.observe(self._refresh, names="value")
        self.ticket.observe(self._refresh, names="value")
        self.own_words.observe(self._typed, names="value")
        self.ask.on_click(self._ask)
        cards = widgets.Box([self.card, self.card_beside], layout=SIDE_BY_SIDE)
        super().__init__([choices_style(), self.scenario, self.tool, self.beside, self.ticket, self.own_words, self.ask, cards])

    def __repr__(self) -> str:
        return "ToggleLab()"

    def _offer_tickets(self) -> None:
        tickets = scenario_tickets(self.scenario.value)
        self._tickets = {ticket.id: ticket for ticket in tickets}
        self.ticket.options = [*ticket_options(tickets), ("your own words, below", OWN)]
        self.ticket.value = tickets[0].id

    def _change_scenario(self, change: object) -> None:
        with self._quietly():
            self._offer_tickets()
        self._refresh()

    def _typed(self, change: object) -> None:
        if self.own_words.value.strip():
            with self._quietly():
                self.ticket.value = OWN
            self._refresh()

    def _ask(self, button: object) -> None:
        self._replies.clear()
        if self.own_words.value.strip():
            self._typed(button)
        else:
            self._refresh()

    def _request(self) -> tuple[str, str, Ticket | None, str]:
        ticket = self._tickets.get(self.ticket.value)
        return self.tool.value, self.beside.value, ticket, ticket.text if ticket else self.own_words.value

    def _refresh(self, change: object = None) -> None:
        """Answer what the controls ask for, and again if they were changed meanwhile."""
        if self._waits:
            return
        # Ask stays enabled: a button that is switched off loses the keyboard. What is pressed meanwhile waits.
        self._busy = True
        try:
            answered = None
            while answered != self._request():
                answered = self._request()
                tool, beside, ticket, text = answered
                self.card_beside.layout.display = "" if beside else "none"
                for card, arm in ((self.card, tool), (self.card_beside, beside)):
                    if arm:
                        self._answer(card, arm, ticket, text)
                        card.value = (f"<b>{ARM_NAMES[arm]}</b>" if beside else "") + card.value
        finally:
            self._busy = False

    def _answer(self, card: widgets.HTML, arm: str, ticket: Ticket | None, text: str) -> None:
        if not text.strip():
            card.value = notice_card("There is nothing to answer yet. Write what a customer would, then press Ask.")
            return
        try:
            if (arm, text) not in self._replies:
                card.value = notice_card(_working(arm, arm in self.bots))
                if arm not in self.bots:
                    self.bots[arm] = self.make_bot(arm)
                self._replies[arm, text] = self.bots[arm].ask(text)
            card.value = reply_card(self._replies[arm, text], ticket, arm)
        except KeyboardInterrupt:
            card.value = notice_card("Stopped. Nothing is lost: press Ask to go on.")
        except Exception as error:
            # A widget's callback is the last place where an error can still become a message.
            card.value = error_card(error)


def _working(arm: str, ready: bool) -> str:
    name = f"The {ARM_NAMES[arm]}" if arm == "base" else f"The {ARM_NAMES[arm]} bot"
    if ready:
        return f"{name} is writing its reply."
    trains = " At its very first use it trains its adapter, which takes one to two minutes." if arm in ("lora", "hybrid") else ""
    return f"{name} is being loaded.{trains}"
