"""The failure tracer: what went wrong in each ticket that is not resolved, and how often."""

from collections.abc import Mapping, Sequence
from html import escape

import ipywidgets as widgets

from helpers.bots import Reply
from helpers.cards import GOOD, notice_card, reply_card
from helpers.controls import LABELLED, WIDE, Quiet, choices, choices_style, ticket_options
from helpers.failures import FAILURES, Failure, trace
from helpers.knowledge import HelpCenter
from helpers.scenarios import ARM_NAMES, Ticket

Case = tuple[Reply, Ticket, Failure]


class FailureTracer(Quiet, widgets.VBox):
    """Choose a bot, then a kind of failure, then one of its tickets, and read the trace above the card.

    The controls are attributes, so that a cell can set them: ``bot``, ``kind``
    and ``ticket``; ``reason`` and ``card`` show what is chosen. ``cases`` holds
    (reply, ticket, failure) by bot and kind.

    Args:
        replies: each bot's replies to ``tickets``, in their order, by the bot's arm or by a name.
        help_center: where the bots searched; with it a trace names the rank of a passage that was not retrieved.

    Raises:
        ValueError: a bot has more or fewer replies than there are tickets.
    """

    def __init__(self, replies: Mapping[str, Sequence[Reply]], tickets: Sequence[Ticket], help_center: HelpCenter | None = None) -> None:
        self.cases = {bot: _by_kind(found, tickets, help_center) for bot, found in replies.items()}
        self._total = len(tickets)
        self.bot = choices("Bot", [(ARM_NAMES.get(bot, bot), bot) for bot in replies])
        self.kind = choices("What failed", [])
        self.ticket = widgets.Select(description="Tickets", tooltip="The tickets of this kind", rows=5, layout=WIDE, style=LABELLED)
        self.reason, self.card = widgets.HTML(layout=WIDE), widgets.HTML(layout=WIDE)
        self.bot.observe(self._change_bot, names="value")
        self.kind.observe(self._change_kind, names="value")
        self.ticket.observe(self._show, names="value")
        self._change_bot()
        super().__init__([choices_style(), self.bot, self.kind, self.ticket, self.reason, self.card])

    def __repr__(self) -> str:
        return "FailureTracer()"

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many tickets failed, by bot and kind."""
        return {bot: {kind: len(cases) for kind, cases in found.items()} for bot, found in self.cases.items()}

    def as_text(self) -> str:
        """Return the same as a table of plain text: one line a kind, one column a bot, with the first ticket's id."""
        bots = list(self.cases)
        width = max(len(kind) for kind in FAILURES)
        rows = [" " * width + "".join(f"  {ARM_NAMES.get(bot, bot):>18}" for bot in bots)]
        for kind in FAILURES:
            if any(kind in self.cases[bot] for bot in bots):
                rows.append(f"{kind:{width}}" + "".join(f"  {_cell(self.cases[bot].get(kind, [])):>18}" for bot in bots))
        return "\n".join(rows)

    def _change_bot(self, change: object = None) -> None:
        found = self.cases[self.bot.value]
        kept = self.kind.value if self.kind.value in found else next(iter(found), None)
        with self._quietly():
            self.kind.options = [(f"{kind} ({len(cases)})", kind) for kind, cases in found.items()]
            self.kind.value = kept
        self._change_kind()

    def _change_kind(self, change: object = None) -> None:
        if self._waits:
            return
        cases = self.cases[self.bot.value].get(self.kind.value, [])
        with self._quietly():
            self.ticket.options = ticket_options([ticket for _, ticket, _ in cases])
            self.ticket.value = cases[0][1].id if cases else None
        self._show()

    def _show(self, change: object = None) -> None:
        if self._waits:
            return
        case = next((case for case in self.cases[self.bot.value].get(self.kind.value, []) if case[1].id == self.ticket.value), None)
        if case is None:
            self.reason.value, self.card.value = notice_card(f"All {self._total} tickets are resolved.", GOOD), ""
            return
        reply, ticket, failure = case
        self.reason.value = f"<div><b>{escape(failure.kind)}</b>: {escape(FAILURES[failure.kind])} {escape(failure.details)}</div>"
        self.card.value = reply_card(reply, ticket, self.bot.value)


def _by_kind(replies: Sequence[Reply], tickets: Sequence[Ticket], help_center: HelpCenter | None) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for reply, ticket in zip(replies, tickets, strict=True):
        failure = trace(reply, ticket, help_center if reply.found else None)
        if failure:
            found.setdefault(failure.kind, []).append((reply, ticket, failure))
    return {kind: found[kind] for kind in FAILURES if kind in found}


def _cell(cases: Sequence[Case]) -> str:
    return f"{len(cases)}, e.g. {cases[0][1].id}" if cases else "0"
