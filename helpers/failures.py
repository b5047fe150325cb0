"""Where a reply went wrong: the first thing that broke on the way from the help centre to the customer."""

from collections.abc import Sequence
from dataclasses import dataclass

from helpers.bots import Reply
from helpers.knowledge import HelpCenter, Passage
from helpers.reranker import SEARCHED
from helpers.scenarios import Fact, Ticket
from helpers.scoring import abstains, fact_right, fact_stale, resolved, states, value_present, voice_checks
from helpers.verdicts import QUEUES, escalation_state

FAILURES = {
    "missed hand-over": "A person should have taken over, and nobody does.",
    "wrong queue": "A person takes over, but the wrong one.",
    "needless hand-over": "The bot gave away a ticket that it should have answered.",
    "invented an answer": "The help centre does not say, and the bot answered.",
    "from memory": "The bot had nothing to look up, and its memory does not hold today's value.",
    "not in the help centre": "No article states today's value, so no search can find it.",
    "retrieval missed": "No passage with today's value was retrieved.",
    "left out": "The passage was found, and scored too low to be shown.",
    "old value": "The passage was there, and the bot gave the superseded value.",
    "gave up": "The passage was there, and the bot said that it does not know.",
    "misread": "The passage was there, and the bot said something else.",
    "voice": "Everything else is right, and it does not sound like us.",
}


@dataclass(frozen=True)
class Failure:
    """Why a ticket is not resolved: a key of ``FAILURES``, and what was seen in this reply."""

    kind: str
    details: str


def failure_kind(reply: Reply, ticket: Ticket, help_center: HelpCenter | None = None) -> str | None:
    """Return the first of ``FAILURES`` that explains why the ticket is not resolved; None if it is.

    Args:
        help_center: where the bot searched; without it "not in the help centre" counts as "retrieval missed".
    """
    if resolved(reply, ticket):
        return None
    if ticket.kind == "unanswerable":
        return "needless hand-over" if reply.escalated else "voice" if abstains(reply) else "invented an answer"
    hand_over = escalation_state(reply, ticket)
    if hand_over != "right":
        return {"missed": "missed hand-over", "false alarm": "needless hand-over"}.get(hand_over, hand_over)
    wrong = [fact for fact in ticket.facts if not fact_right(fact, reply.text)]
    if wrong and not reply.found:
        return "from memory"
    unseen = next((fact for fact in wrong if not _is_shown(fact, reply)), None)
    if unseen and any(states(passage, unseen) for passage in reply.left_out):
        return "left out"
    if unseen:
        return "not in the help centre" if help_center and not _stands_in(unseen, help_center) else "retrieval missed"
    if any(fact_stale(fact, reply.text) for fact in wrong):
        return "old value"
    if wrong:
        return "gave up" if abstains(reply) else "misread"
    return "voice"


def trace(reply: Reply, ticket: Ticket, help_center: HelpCenter | None = None) -> Failure | None:
    """Return where the reply went wrong, with what was seen of it; None if the ticket is resolved.

    Args:
        help_center: where the bot searched; with it the details name the rank of a passage that was not retrieved.
    """
    kind = failure_kind(reply, ticket, help_center)
    return Failure(kind, _details(kind, reply, ticket, help_center)) if kind else None


def _details(kind: str, reply: Reply, ticket: Ticket, help_center: HelpCenter | None) -> str:
    kept, handed = QUEUES.get(ticket.escalate or ""), QUEUES.get(reply.queue or "", reply.queue)
    if kind == "missed hand-over":
        named = f" The bot named {handed}, which is none of our queues." if handed else ""
        return f"The policy gives this ticket to {kept}.{named}"
    if kind == "wrong queue":
        return f"The policy gives this ticket to {kept}; the bot gave it to {handed}."
    if kind == "needless hand-over":
        return f"The bot gave it to {handed}; the policy lets the bot answer."
    if kind == "invented an answer":
        if reply.passages:
            return f"It was shown {_count(reply.passages)}, none of which answers."
        return "Nothing was found for it, and it answered from memory." if reply.left_out else "It answered from memory."
    if kind == "voice":
        return f"Failed: {', '.join(name for name, passed in voice_checks(reply.text).items() if not passed)}."
    wrong = [fact for fact in ticket.facts if not fact_right(fact, reply.text)]
    fact = next((fact for fact in wrong if not _is_shown(fact, reply)), wrong[0])
    if kind == "from memory":
        said = f"It said {fact.superseded}, which was right once" if fact_stale(fact, reply.text) else "It said something else"
        return f"Today's value is {fact.current}. {said}."
    if kind == "left out":
        passage = next(passage for passage in reply.left_out if states(passage, fact))
        return f"The one that says {fact.current} has a score of {passage.score:.2f}."
    if kind in ("not in the help centre", "retrieval missed"):
        return _where(fact, reply, ticket, help_center)
    if kind == "old value":
        fact = next(fact for fact in wrong if fact_stale(fact, reply.text))
    number = next(number for number, passage in enumerate(reply.passages, 1) if states(passage, fact))
    said = {"old value": f"it said {fact.superseded}, from memory", "gave up": "it said that it does not know", "misread": f"it cited {_cited(reply)}"}[kind]
    return f"Passage [{number}] says {fact.current}; {said}."


def _where(fact: Fact, reply: Reply, ticket: Ticket, help_center: HelpCenter | None) -> str:
    told = f"It was shown {_count(reply.passages)}"
    if help_center is None:
        return f"{told}, none of which says {fact.current}."
    found = help_center.search(ticket.text, SEARCHED)
    rank = next((rank for rank, passage in enumerate(found, 1) if states(passage, fact)), None)
    if rank:
        return f"{told}; the one that says {fact.current} is at rank {rank} of the {SEARCHED} nearest."
    if _stands_in(fact, help_center):
        return f"{told}; the one that says {fact.current} is not among the {SEARCHED} nearest."
    return f"No sentence of the article {fact.article} says {fact.current}."


def _is_shown(fact: Fact, reply: Reply) -> bool:
    return any(states(passage, fact) for passage in reply.passages)


def _stands_in(fact: Fact, help_center: HelpCenter) -> bool:
    article = help_center.articles.get(fact.article)
    return article is not None and fact.current is not None and value_present(fact.current, article.text)


def _count(passages: Sequence[Passage]) -> str:
    return {0: "no passage", 1: "1 passage"}.get(len(passages), f"{len(passages)} passages")


def _cited(reply: Reply) -> str:
    numbers = [str(number) for number, passage in enumerate(reply.passages, 1) if passage in reply.citations]
    return f"[{'], ['.join(numbers)}]" if numbers else "no passage"
