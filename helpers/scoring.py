"""Score replies: facts, citations, voice, escalation, abstention, and how sure we are.

Every score looks at what the bot wrote. Nothing here changes a reply.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap

from helpers.bots import CITATION, ESCALATION, Reply
from helpers.knowledge import Passage
from helpers.prompts import says_unknown
from helpers.scenarios import Fact, Ticket


def normalised(text: str) -> str:
    """Lower case, one space between words, no thousands commas, plain quotes."""
    text = text.lower().replace("\u2019", "'").replace("\u00a0", " ")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return " ".join(text.split())


UNITS = {word: number for number, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split())}
TENS = {word: 10 * number for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
TENS_WORD = re.compile(rf"\b({'|'.join(TENS)})(?:[- ]({'|'.join(UNITS)}))?\b")
UNIT_WORD = re.compile(rf"\b({'|'.join(UNITS)})\b")
OTHER_FREE = re.compile(
    r"\b(?:feel|feeling|you're|you are|(?:not|never|no longer)(?: (?:for|entirely|completely|totally|quite|really|exactly|always))?) free\b|"
    r"\bfree (?:second|minute|hour|moment|hand|time|day|morning|afternoon|evening|weekend)s?\b"
)
UNIT = re.compile(r"(\d)[- ](second|minute|hour|day|week|month|year|(?:milli|centi)?metre|watt|degree|litre|kilo|gram|character)s?\b(?!-)")


def _comparable(text: str) -> str:
    """One spelling for numbers, prices, percentages, times of day, units, ranges, negations and menu paths."""
    text = re.sub(r"\bcan(?:'t| not)\b", "cannot", normalised(text).replace("**", ""))
    text = re.sub(r"n't\b", " not", text)
    text = TENS_WORD.sub(lambda m: str(TENS[m[1]] + UNITS.get(m[2], 0)), text)
    text = UNIT_WORD.sub(lambda m: str(UNITS[m[1]]), text)
    text = re.sub(r"(\d+(?:\.\d+)?) dollars\b", r"$\1", text)
    text = re.sub(r"(\$\d+\.\d)(?!\d)", r"\g<1>0", text)
    text = re.sub(r"(\$\d+)\.00(?!\d)", r"\1", text)
    text = re.sub(r"(\d) ?(?:%|per cent\b)", r"\1 percent", text)
    text = re.sub(r"(\d)(?::00)? ?([ap])(?:m\b|\.m\b\.?)", r"\1 \2m", text)
    text = re.sub(r"(\d|\b[ap]m)(?:-(?=\d+(?![\d-]))| ?\u2013 ?(?=\d))", r"\1 to ", text)
    text = re.sub(r"(\d)([kmg]hz)\b", r"\1 \2", text)
    text = re.sub(r"\b1 (third|half|quarter)\b", r"a \1", text)
    text = re.sub(r"(\d)-(?:a|per)-(?=[a-z])", r"\1 a ", text)
    text = re.sub(r"\bhalf-price\b", "half price", text)
    text = UNIT.sub(r"\1 \2s", text)
    return re.sub(r"\s*[>\u2192\u203a]\s*", " > ", text)


VALUE_BEGINS, VALUE_ENDS = r"(?<![\w.-])", r"(?!\w|\.\d|-\w)"


def value_present(value: str, text: str) -> bool:
    """True if ``value`` stands in ``text`` as whole words, however its number is spelt.

    "Feel free", "not free" and "no longer free" do not say that something is free, and a longer
    menu path is another one.
    """
    text = OTHER_FREE.sub("", _comparable(text))
    return re.search(rf"{VALUE_BEGINS}(?<!> ){re.escape(_comparable(value))}{VALUE_ENDS}(?! >)", text) is not None


def fact_right(fact: Fact, text: str) -> bool:
    """True if today's value is in the reply and the superseded one is not."""
    if fact.current is None or not value_present(fact.current, text):
        return False
    return fact.superseded is None or not value_present(fact.superseded, text)


def fact_stale(fact: Fact, text: str) -> bool:
    """True if the superseded value is in the reply."""
    return fact.superseded is not None and value_present(fact.superseded, text)


def states(passage: Passage, fact: Fact) -> bool:
    """True if the passage comes from the fact's article and holds today's value."""
    return fact.current is not None and passage.article == fact.article and value_present(fact.current, passage.text)


def citation_precision(reply: Reply, facts: Sequence[Fact]) -> float | None:
    """Share of the citations that hold: right article, and the value is in the passage. None if nothing is cited."""
    if not reply.citations:
        return None
    good = [any(states(p, f) for f in facts) for p in reply.citations]
    return sum(good) / len(good)


def citation_recall(reply: Reply, facts: Sequence[Fact]) -> float:
    """Share of the ticket's facts for which a passage with the value is cited."""
    found = [any(states(p, f) for p in reply.citations) for f in facts if f.current]
    return sum(found) / len(found) if found else 0.0


@dataclass(frozen=True)
class VoiceCheck:
    """One line of the voice rubric."""

    name: str
    explanation: str
    passed: Callable[[str], bool]


WARM = re.compile(
    r"^(?:hello|hi|hey|good (?:morning|afternoon|evening))\b|^(?:oh|ouch|sure|nice|absolutely|no worries|congratulations|what a (?:shame|pity|nuisance|treat|lovely))\b|"
    r"\b(?:happy|glad|thanks|thank you|sorry|(?:good|great|fair) question|lovely|(?:good|great) to hear|love|of course|no problem|good news|i'd rather not guess|"
    r"delighted|pleased|good thinking|i hear you|i understand|that sounds|welcome|you're right|no trouble|certainly|gladly|with pleasure|let's|here's a quick|"
    r"that's (?:a |an |such a |so |really |perfectly |quite )?(?:good|great|nice|kind|fair|fine|all right|wonderful|wise|annoying|frustrating|worrying))\b"
)
CONTRACTION = re.compile(r"\b(?:[a-z]+n't|[a-z]+'(?:re|ll|ve|d|m)|(?:it|that|here|there|what|who|let|he|she|where|how|(?:some|any|every|no)(?:thing|one|body))'s)\b")
BLAME = re.compile(
    r"(?<!if )(?<!in case )\byou (?:failed|forgot|ignored|neglected|broke|never [a-z]+ed|(?:should|must)(?:n't| not)?(?: have|'ve))\b|"
    r"(?<!not )(?<!n't )(?<!never )(?<!not really )(?<!n't really )(?<!none of this is )(?<!none of that is )\byour (?:own )?(?:fault|mistake|error|carelessness)\b|"
    r"(?<!if )(?<!in case )\byou (?:did not|didn't)\b(?! do anything| break| cause| miss| get| receive| hear)"
)
FILLER = re.compile(
    r"please be advised|\bas per\b|unfortunately,? we|we regret|(?:any|the|this) inconvenience|request has been received|\bkindly\b|do not hesitate|don't hesitate|"
    r"valued customer|as stated in|dear customer|in accordance with|your (?:message|satisfaction) is important to us"
)
REQUEST = (
    "write|tell|let us|let me|send|try|give|open|check|have|drop|reply|ask|keep|take|pop|look|see|pick|choose|tap|enjoy|shout|come|get|start|go|add|set|make|feel free|say|point|put|use|"
    "rinse|wipe|clean|fill|click|restart|contact|place|plan|order|bring|call|note|watch|find|save|leave|decide|compare|press|hold|switch|turn|pack|share|stop|wait|pull|unplug|head|follow|ring|email|visit|remember"
)
NEXT_STEP = re.compile(
    rf"(?:^(?:then |now |and |so )?|[,;:] (?:and |then |so |but |or )?|\bplease |\bjust )(?:{REQUEST})\b|\b(?:could|can|would|will) you\b|\bshall we\b|"
    r"\b(?:write|tell|ask|reply|drop) (?:back|us|to us)\b|\blet us know\b|\byou don't need to\b|"
    r"\b(?:we'll|i'll|you'll|who'll|they'll)\b|\b(?:handing|passing|sending|giving|bringing|asking|passed|asked)\b|\b(?:takes? (?:over|it|this)|looks after|goes to our|will read)\b"
)
EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")


def _body(text: str) -> str:
    """What was written, without citations and hand-overs; "8 a.m." loses the stop that ends no sentence."""
    return re.sub(r"\b([ap])\.m\.", r"\1m", normalised(CITATION.sub("", ESCALATION.sub("", text))))


def _sentences(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[.!?])\s+", _body(text)) if s.strip()]


VOICE = (
    VoiceCheck("warm opening", "The first sentence greets, thanks, agrees, offers help or is sorry.", lambda t: bool(_sentences(t)) and WARM.search(_sentences(t)[0]) is not None),
    VoiceCheck("contractions", "At least one contraction: you're, it's, we'll, don't.", lambda t: CONTRACTION.search(_body(t)) is not None),
    VoiceCheck("no blame", "Nothing is the customer's fault.", lambda t: BLAME.search(_body(t)) is None),
    VoiceCheck("no filler", "No sentence that could stand in any company's e-mail.", lambda t: FILLER.search(_body(t)) is None),
    VoiceCheck("next step", "The last sentence says what to do, or what we do, next.", lambda t: len(_sentences(t)) > 1 and NEXT_STEP.search(_sentences(t)[-1]) is not None),
    VoiceCheck("short and calm", "At most one exclamation mark, no emoji, no capitals for emphasis, at most six sentences.", lambda t: _is_calm(t)),
)


def _is_calm(text: str) -> bool:
    shouted = re.search(r"\b[A-Z]{4,}\b", text)
    return text.count("!") <= 1 and not shouted and not EMOJI.search(text) and 1 <= len(_sentences(text)) <= 6


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
    """True if the reply says, in words of its own, that the answer is not known."""
    return says_unknown(reply.text, [p.text for p in reply.passages])


def resolved(reply: Reply, ticket: Ticket) -> bool:
    """True if one ticket is right in facts and in behaviour (voice and escalation)."""
    facts = abstains(reply) if ticket.kind == "unanswerable" else all(fact_right(fact, reply.text) for fact in ticket.facts)
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

    Where every score is 0, or every score is 1, resampling cannot show that other tickets
    might turn out otherwise; then the interval is the exact binomial one (Clopper and Pearson 1934).

    Raises:
        ValueError: there are no scores.
    """
    values = np.asarray(scores, dtype=float)
    if not len(values):
        raise ValueError("No scores to take the mean of.")
    if np.all(values == 0) or np.all(values == 1):
        exact = binomtest(int(values.sum()), len(values)).proportion_ci(method="exact")
        return Estimate(float(values[0]), float(exact.low), float(exact.high), len(values))
    return _resampled(values, seed)


def _resampled(values: np.ndarray, seed: int) -> Estimate:
    mean = float(values.mean())
    if np.all(values == values[0]):
        return Estimate(mean, mean, mean, len(values))
    interval = bootstrap((values,), np.mean, n_resamples=2000, method="percentile", random_state=seed).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(values))


def difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Estimate:
    """Return the mean difference of two arms on the same tickets (paired bootstrap).

    Where no ticket, or every ticket, sets the two apart, resampling shows no exception; then
    the interval reaches as far as the exact binomial one does, see ``estimate``.

    Raises:
        ValueError: there are no scores.
    """
    values = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if not len(values):
        raise ValueError("No scores to compare.")
    if np.all(values == values[0]) and values[0] in (-1, 0, 1):
        value, reach = float(values[0]), estimate(np.zeros(len(values))).high
        return Estimate(value, max(-1.0, value - reach), min(1.0, value + reach), len(values))
    return _resampled(values, seed)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the exact two-sided p-value that two arms are right equally often (McNemar 1947)."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    discordant = only_first + only_second
    return 1.0 if discordant == 0 else float(binomtest(only_first, discordant).pvalue)
