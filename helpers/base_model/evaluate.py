"""Measure the base model on suites that its training never saw.

``python -m helpers.base_model.evaluate`` prints the scores that the model card
quotes: reading with the real retriever, passages that contradict the memory,
remembering the first edition, saying that it does not know, and never escalating.
"""

import argparse
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from helpers.base_model.slots import NUMBER_WORD, draw, value_like
from helpers.bots import PASSAGES, Reply, SupportBot
from helpers.knowledge import HelpCenter
from helpers.paths import DATA, HELP_CENTER, PRETRAINING, ROOT, workspace
from helpers.scenarios import current_help_center, load_facts, load_tickets, read_lines, tickets_with_facts
from helpers.scoring import Estimate, abstains, estimate, value_present
from helpers.tuning import course_adapter

SUITES = ROOT / "tests" / "suites"


@dataclass(frozen=True)
class SuiteQuestion:
    """A question about articles that nobody trained on; ``value`` is None if nothing answers it."""

    text: str
    article: str | None
    value: str | None


def load_suite(folder: Path) -> tuple[HelpCenter, list[SuiteQuestion]]:
    """Return a suite's help centre, synced, and its questions."""
    help_center = HelpCenter.from_folder(folder / "articles")
    help_center.sync()
    return help_center, [SuiteQuestion(row["text"], row["article"], row["value"]) for row in read_lines(folder / "questions.jsonl")]


def load_suites() -> dict[str, tuple[HelpCenter, list[SuiteQuestion]]]:
    """Return all suites by name."""
    return {folder.name: load_suite(folder) for folder in sorted(SUITES.glob("*/"))}


def fernhollow() -> tuple[HelpCenter, list[SuiteQuestion]]:
    """Return today's Fernhollow help centre with the held-out tickets as questions."""
    tickets = [*tickets_with_facts(), *load_tickets("unanswerable")]
    return current_help_center(), [SuiteQuestion(t.text, t.facts[0].article if t.facts else None, t.facts[0].current if t.facts else None) for t in tickets]


def reading(help_center: HelpCenter, questions: list[SuiteQuestion], k: int, adapter: Path | None = None) -> dict[str, Estimate]:
    """Score the RAG arm: answer shown to the model, value present, citation right, abstention right and needless."""
    bot = SupportBot(help_center=help_center, adapter=adapter, k=k)
    pairs = list(zip(questions, bot.ask_all([q.text for q in questions]), strict=True))
    answerable = [(q, r) for q, r in pairs if q.value]
    answered = [(q, r) for q, r in answerable if not abstains(r)]
    shown = [any(_supports(p, q) for p in r.passages) for q, r in answerable]
    return {
        "shown": estimate(shown),
        "value present": estimate([value_present(q.value, r.text) for q, r in answerable]),
        "value present, if shown": estimate([value_present(q.value, r.text) for (q, r), seen in zip(answerable, shown, strict=True) if seen]),
        "citation right": estimate([any(_supports(p, q) for p in r.citations) for q, r in answered]),
        "abstains, nothing answers": estimate([abstains(r) for q, r in pairs if not q.value]),
        "abstains needlessly": estimate([abstains(r) for q, r in answerable]),
        "garbled": estimate([bool(strange_words(r)) for _, r in pairs]),
    }


WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


@cache
def ordinary_words() -> frozenset[str]:
    """Return the words of every text that the course has, apart from held-out tickets and suites: what the model may say unasked."""
    sources = [*HELP_CENTER.glob("*/*.md"), *PRETRAINING.glob("**/*.txt"), *(DATA / "conversations").glob("*.jsonl"), DATA / "voice.md", DATA / "escalation_policy.md"]
    return frozenset(word for path in sources for word in WORD.findall(path.read_text(encoding="utf-8").lower()))


def strange_words(reply: Reply) -> list[str]:
    """Return the words of a reply that stand in no passage, not in the question and in no text of the course: garbled copies."""
    shown = " ".join([reply.question, *(f"{p.text} {p.heading} {p.title}" for p in reply.passages)]).lower()
    seen = set(WORD.findall(shown))
    return [word for word in WORD.findall(reply.text.lower()) if word not in seen and word not in ordinary_words()]


def remembering() -> dict[str, Estimate]:
    """Score the base arm, closed book, on held-out wordings of first-edition facts."""
    return {"first edition remembered": estimate(list(first_edition_remembered(SupportBot()).values()))}


def first_edition_remembered(bot: SupportBot) -> dict[str, float]:
    """Return by ticket whether a bot without passages gives the first edition's value, on held-out wordings."""
    tickets = [t for t in tickets_with_facts() if t.facts[0].first]
    replies = bot.ask_all([t.text for t in tickets])
    return {t.id: float(value_present(t.facts[0].first, r.text)) for t, r in zip(tickets, replies, strict=True)}


def overruled(
    edition: str,
    name: str = "",
    seed: int = 0,
    new_value: Callable[[str, random.Random], str] = value_like,
    count: int | None = None,
    wordings: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Estimate]:
    """Score replies where the passage holds a value that no edition ever had.

    Every fact of ``edition``, or a random ``count`` of them, gets another value in its article (the first one, of
    two that share a sentence); the questions are the facts' own, or the ``wordings`` by fact. For the first
    edition the model remembers otherwise. ``name`` is what the scores are called.
    """
    name = name or f"{edition} edition with other values"
    rng = random.Random(f"{edition}-{seed}")
    wordings = wordings or {fact.id: fact.questions for fact in load_facts().values()}
    help_center = HelpCenter.from_folder(HELP_CENTER / edition)
    facts = [(f, *((f.first, f.first_sentence) if edition == "first" else (f.current, f.current_sentence))) for f in load_facts().values()]
    if count is not None:
        rng.shuffle(facts)
    articles, asked, values = dict(help_center.articles), [], []
    for fact, value, sentence in facts:
        article = articles.get(fact.article)
        if value and wordings.get(fact.id) and sentence in article.text and (count is None or len(asked) < count):
            other = new_value(value, rng)
            while any(known and (value_present(known, other) or value_present(other, known)) for known in (fact.first, fact.current)):
                other = new_value(value, rng)
            articles[fact.article] = replace(article, text=article.text.replace(sentence, sentence.replace(value, other)))
            asked.append(rng.choice(wordings[fact.id]))
            values.append((other, value))
    edited = HelpCenter(articles, workspace() / "indexes" / f"overruled-{edition}-{seed}-{count}")
    edited.sync()
    replies = SupportBot(help_center=edited).ask_all(asked)
    shown = [(new, old, r) for (new, old), r in zip(values, replies, strict=True) if any(value_present(new, p.text) for p in r.passages)]
    return {
        name: estimate([value_present(new, r.text) for (new, _), r in zip(values, replies, strict=True)]),
        f"{name}, if shown": estimate([value_present(new, r.text) for new, _, r in shown]),
        f"{name}, old value instead": estimate([value_present(old, r.text) and not value_present(new, r.text) for new, old, r in shown]),
    }


def escalating(help_center: HelpCenter) -> dict[str, Estimate]:
    """Score how often the base model hands over by itself, with and without passages: never."""
    texts = [t.text for t in load_tickets("behaviour")]
    replies: list[Reply] = [*SupportBot().ask_all(texts), *SupportBot(help_center=help_center).ask_all(texts)]
    return {"escalates without an adapter": estimate([r.escalated for r in replies])}


def live_edits(count: int = 50, seed: int = 0) -> dict[str, Estimate]:
    """Score replies after ``count`` values of today's articles became odd numbers, invented names and new addresses.

    Asked in the facts' own wordings, which are terse, and in the customers' words of the held-out tickets.
    """

    def odd_value(value: str, rng: random.Random) -> str:
        changed = re.sub(r"\d+", lambda match: str(rng.randint(10 ** (len(match[0]) - 1), 10 ** len(match[0]) - 1) | 1), value)
        changed = re.sub(NUMBER_WORD, lambda _: str(rng.randint(5, 49) * 2 + 1), changed)
        return changed if changed != value else draw(rng.choice(("name", "address", "email")) if "@" not in value else "email", rng)

    in_tickets: dict[str, list[str]] = {}
    for ticket in tickets_with_facts():
        in_tickets.setdefault(ticket.facts[0].id, []).append(ticket.text)
    own_words = overruled("current", "live edits", seed, odd_value, count)
    return own_words | overruled("current", "live edits, in customers' words", seed, odd_value, count, in_tickets)


def main() -> None:
    """Print every score as a Markdown table and as JSON; with ``--hybrid`` also reading with the course's adapter."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--hybrid", action="store_true", help="also read with the course's adapter, trained at first use")
    adapter = course_adapter() if parser.parse_args().hybrid else None
    suites = {"Fernhollow": fernhollow()} | load_suites()
    rows = {name: reading(*suite, PASSAGES) for name, suite in suites.items()}
    rows["Fernhollow"] |= {**overruled("first"), **overruled("current"), **live_edits(), **remembering(), **escalating(suites["Fernhollow"][0])}
    if adapter:
        rows |= {f"{name}, hybrid": reading(*suite, PASSAGES, adapter) for name, suite in suites.items()}
    for suite, scores in rows.items():
        for name, score in scores.items():
            print(f"| {suite} | {name} | {score} |")
    print(json.dumps({suite: {name: asdict(score) for name, score in scores.items()} for suite, scores in rows.items()}))


def _supports(passage, question: SuiteQuestion) -> bool:
    return passage.article == question.article and value_present(question.value, passage.text)


if __name__ == "__main__":
    main()
