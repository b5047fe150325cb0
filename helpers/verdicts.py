"""What a reply's scores say about the bot that wrote it, in words."""

from helpers.bots import Reply
from helpers.knowledge import Passage
from helpers.scenarios import Fact, Ticket
from helpers.scoring import abstains, escalation_right, fact_right, fact_stale, states, voice_right

QUEUES = {
    "safety": "the safety team",
    "privacy": "the privacy team",
    "legal": "the legal team",
    "payments": "the payments team",
    "specialist": "a specialist",
    "person": "somebody from the support team",
}


def fact_state(fact: Fact, text: str) -> str:
    """Return ``right``, ``outdated`` (the superseded value is there) or ``missing``."""
    if fact_right(fact, text):
        return "right"
    return "outdated" if fact_stale(fact, text) else "missing"


def holds_answer(passage: Passage, ticket: Ticket) -> bool:
    """True if the passage holds a value that the ticket asks for."""
    return any(states(passage, fact) for fact in ticket.facts)


def escalation_state(reply: Reply, ticket: Ticket) -> str:
    """Return ``right``, ``missed``, ``false alarm`` or ``wrong queue``."""
    if escalation_right(reply, ticket):
        return "right"
    if not ticket.escalate:
        return "false alarm"
    return "wrong queue" if reply.queue in QUEUES else "missed"  # nobody takes over from a queue that does not exist


def verdict(reply: Reply, ticket: Ticket | None, arm: str = "") -> str:
    """Return one sentence on the reply and on what its bot needs, from the scores only.

    Args:
        ticket: the held-out ticket; None for the learner's own words, whose facts nobody has listed.
        arm: one of ``scenarios.ARMS``; without it the sentence does not say what the bot already has.
    """
    voice = "right voice" if voice_right(reply.text) else "wrong voice"
    if ticket is None:
        handed = f"handed to {QUEUES.get(reply.queue or '', reply.queue)}" if reply.escalated else "not handed over"
        return _sentence([voice, handed], "nobody has listed what your own words need, so compare the reply with the passages and the escalation policy yourself")
    facts, facts_fine = _facts(reply, ticket)
    hand_over = escalation_state(reply, ticket)
    behaviour_fine = voice == "right voice" and hand_over == "right"
    findings = [voice, facts] if facts else [voice]
    if hand_over != "right":
        findings.append({"missed": "missed hand-over", "false alarm": "needless hand-over", "wrong queue": "handed to the wrong team"}[hand_over])
    elif ticket.escalate:
        findings.append("right hand-over")
    return _sentence(findings, _advice(reply, ticket, arm, facts_fine, behaviour_fine))


def _facts(reply: Reply, ticket: Ticket) -> tuple[str, bool]:
    if ticket.kind == "unanswerable":
        return ("says that it does not know, as it should", True) if abstains(reply) else ("invented answer", False)
    states = {fact_state(fact, reply.text) for fact in ticket.facts}
    if not states:
        return "", True
    worst = next(state for state in ("outdated", "missing", "right") if state in states)
    return f"{worst} fact", worst == "right"


def _advice(reply: Reply, ticket: Ticket, arm: str, facts_fine: bool, behaviour_fine: bool) -> str:
    if facts_fine and behaviour_fine:
        return "this ticket is resolved"
    reads, tuned = arm in ("rag", "hybrid") or bool(reply.found), arm in ("lora", "hybrid")
    if not facts_fine and not behaviour_fine and not reads and not tuned:
        return "this bot needs knowledge and habits, so the hybrid"
    needs = []
    if not facts_fine:
        needs.append(_knowledge(reply, ticket, reads, tuned))
    if not behaviour_fine:
        needs.append(_habits(reads, tuned))
    return ", and ".join(needs)


def _knowledge(reply: Reply, ticket: Ticket, reads: bool, tuned: bool) -> str:
    if reads and ticket.kind == "unanswerable":
        return "it has passages, and none of them answers this"
    if reads and any(holds_answer(p, ticket) for p in reply.passages):
        return "the answer was among the passages, but it was not used"
    if reads and any(holds_answer(p, ticket) for p in reply.left_out):
        return "the passage that answers was found, but scored too low to be shown"
    if reads:
        return "the search did not bring the passage that answers"
    return "this bot needs knowledge: add RAG, which makes it the hybrid" if tuned else "this bot needs knowledge, so RAG"


def _habits(reads: bool, tuned: bool) -> str:
    if tuned:
        return "its training examples did not teach this case"
    return "this bot needs habits: add fine-tuning, which makes it the hybrid" if reads else "this bot needs habits, so fine-tuning"


def _sentence(findings: list[str], advice: str) -> str:
    text = f"{', '.join(findings)}: {advice}."
    return text[0].upper() + text[1:]
