"""Score replies: facts, citations, voice, escalation, abstention, and how sure we are.

Every score looks at what the bot wrote. Nothing here changes a reply.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap

from helpers.bots import CITATION, ESCALATION, Reply
from helpers.prompts import says_unknown
from helpers.scenarios import Fact, Ticket


def normalised(text: str) -> str:
    """Lower case, one space between words, no thousands commas, plain quotes."""
    text = text.lower().replace("\u2019", "'").replace("\u00a0", " ")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return " ".join(text.split())


def value_present(value: str, text: str) -> bool:
    """True if ``value`` stands in ``text`` as whole words."""
    return re.search(rf"(?<![\w.]){re.escape(normalised(value))}(?!\w|\.\d)", normalised(text)) is not None


def fact_right(fact: Fact, text: str) -> bool:
    """True if today's value is in the reply and the superseded one is not."""
    if fact.current is None or not value_present(fact.current, text):
        return False
    return fact.superseded is None or not value_present(fact.superseded, text)


def fact_stale(fact: Fact, text: str) -> bool:
    """True if the superseded value is in the reply."""
    return fact.superseded is not None and value_present(fact.superseded, text)


def citation_precision(reply: Reply, facts: Sequence[Fact]) -> float | None:
    """Share of the citations that hold: right article, and the value is in the passage. None if nothing is cited."""
    if not reply.citations:
        return None
    good = [any(p.article == f.article and value_present(f.current, p.text) for f in facts if f.current) for p in reply.citations]
    return sum(good) / len(good)


def citation_recall(reply: Reply, facts: Sequence[Fact]) -> float:
    """Share of the ticket's facts for which a passage with the value is cited."""
    found = [any(p.article == f.article and value_present(f.current, p.text) for p in reply.citations) for f in facts if f.current]
    return sum(found) / len(found) if found else 0.0


@dataclass(frozen=True)
class VoiceCheck:
    """One line of the voice rubric."""

    name: str
    explanation: str
    passed: Callable[[str], bool]


WARM = re.compile(
    r"\b(happy|glad|thanks|thank you|sorry|good question|great question|lovely|good to hear|great to hear|nice|love|of course|sure|no problem|good news|i'd rather not guess|"
    r"delighted|pleased|fair question|good thinking|i hear you|i understand|that's|that sounds|ouch|oh|welcome|you're right|no trouble|certainly|gladly|with pleasure)\b"
)
CONTRACTION = re.compile(r"\b(?:[a-z]+n't|[a-z]+'(?:re|ll|ve|d|m)|(?:it|that|here|there|what|who|let|he|she|where|how)'s)\b")
BLAME = re.compile(r"\b(you failed|you should have|you must have|your fault|your mistake|you forgot|you did not|you didn't)\b")
FILLER = re.compile(
    r"please be advised|as per|unfortunately we|we regret|any inconvenience|has been received|kindly|do not hesitate|don't hesitate|valued customer|as stated in|dear customer"
)
NEXT_STEP = re.compile(
    r"\b(write|tell|let us|let me|send|try|give|open|check|have a|drop us|reply|ask|we'll|i'll|you'll|who'll|they'll|keep|take|pop|look|see|pick|choose|tap|enjoy|shout|come back|"
    r"handing|passing|hand|pass|get in touch|start|go ahead|add|set|make|feel free|say|point|put|use|place|plan|order|bring|call|note|just)\b"
)


def _body(text: str) -> str:
    return normalised(CITATION.sub("", ESCALATION.sub("", text)))


def _sentences(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[.!?])\s+", _body(text)) if s.strip()]


VOICE = (
    VoiceCheck("warm opening", "The first sentence greets, thanks, agrees or is sorry.", lambda t: bool(_sentences(t)) and WARM.search(_sentences(t)[0]) is not None),
    VoiceCheck("contractions", "At least one contraction: you're, it's, we'll, don't.", lambda t: CONTRACTION.search(_body(t)) is not None),
    VoiceCheck("no blame", "Nothing is the customer's fault.", lambda t: BLAME.search(_body(t)) is None),
    VoiceCheck("no filler", "No sentence that could stand in any company's e-mail.", lambda t: FILLER.search(_body(t)) is None),
    VoiceCheck("next step", "The last sentence says what to do, or what we do, next.", lambda t: len(_sentences(t)) > 1 and NEXT_STEP.search(_sentences(t)[-1]) is not None),
    VoiceCheck("short and calm", "At most one exclamation mark, no capitals for emphasis, at most six sentences.", lambda t: _is_calm(t)),
)


def _is_calm(text: str) -> bool:
    shouted = [word for word in re.findall(r"\b[A-Z]{4,}\b", text)]
    return text.count("!") <= 1 and not shouted and 1 <= len(_sentences(text)) <= 6


def voice_checks(text: str) -> dict[str, bool]:
    """Return each check of the voice rubric by name."""
    return {check.name: bool(check.passed(text)) for check in VOICE}


def voice_right(text: str) -> bool:
    """True if the reply passes the whole rubric."""
    return all(voice_checks(text).values())


def escalation_right(reply: Reply, ticket: Ticket) -> bool:
    """True if the reply hands over exactly when the policy says so, and to the right queue."""
    return reply.queue == ticket.escalate


def abstains(reply: Reply) -> bool:
    """True if the reply says that the answer is not known."""
    return says_unknown(reply.text)


def resolved(reply: Reply, ticket: Ticket) -> bool:
    """True if one ticket is right in facts and in behaviour (voice and escalation)."""
    facts = all(fact_right(fact, reply.text) for fact in ticket.facts)
    return facts and voice_right(reply.text) and escalation_right(reply, ticket)


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval, over ``n`` tickets."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}] (n = {self.n})"


def estimate(scores: Sequence[float], seed: int = 0) -> Estimate:
    """Return the mean of one score a ticket, with a percentile bootstrap interval (Efron 1979).

    Raises:
        ValueError: there are no scores.
    """
    values = np.asarray(scores, dtype=float)
    if not len(values):
        raise ValueError("No scores to take the mean of.")
    mean = float(values.mean())
    if np.all(values == values[0]):
        return Estimate(mean, mean, mean, len(values))
    interval = bootstrap((values,), np.mean, n_resamples=2000, method="percentile", random_state=seed).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(values))


def difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Estimate:
    """Return the mean difference of two arms on the same tickets (paired bootstrap)."""
    return estimate(np.asarray(first, dtype=float) - np.asarray(second, dtype=float), seed)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the exact two-sided p-value that two arms are right equally often (McNemar 1947)."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    discordant = only_first + only_second
    return 1.0 if discordant == 0 else float(binomtest(only_first, discordant).pvalue)
