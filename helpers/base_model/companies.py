"""The invented help centres that the base model learns to read from."""

import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from helpers.base_model.meaning import NO_MEANING, Meanings
from helpers.base_model.slots import fill
from helpers.paths import PRETRAINING

FOLDER = PRETRAINING / "companies"
RANKED = 8
LONGEST_HEADING = 8


@dataclass
class Sentence:
    """One sentence of an article, with slots; ``meaning`` is its row in the meanings, ``headings`` what it could stand under."""

    title: str
    text: str
    article: int
    meaning: int = NO_MEANING
    headings: list[str] = field(default_factory=list)


@dataclass
class Question:
    """A customer's question; ``answer`` indexes the company's sentences, None if nothing answers."""

    text: str
    article: int
    answer: int | None
    ranking: list[int] = field(default_factory=list)
    meaning: int = NO_MEANING


@dataclass
class Company:
    """One organisation's sentences and the questions about them."""

    name: str
    sentences: list[Sentence]
    questions: list[Question]


def load(folder: Path = FOLDER) -> list[Company]:
    """Parse every ``*.txt`` in ``folder``; see the README there for the format.

    Raises:
        ValueError: a line that is none of ``company: # - ? !``, with its place.
    """
    return [parse(path.read_text(encoding="utf-8"), path.name) for path in sorted(folder.glob("*.txt"))]


def parse(text: str, name: str) -> Company:
    """Parse one company's file."""
    company = Company(name.removesuffix(".txt"), [], [])
    title, article = "", -1
    for number, line in enumerate(text.splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if mark == "#":
            title, article = rest, article + 1
        elif mark == "-":
            company.sentences.append(Sentence(title, rest, article))
        elif mark == "?":
            company.questions.append(Question(rest, article, len(company.sentences) - 1))
            if len(rest.split()) <= LONGEST_HEADING:
                company.sentences[-1].headings.append(rest)
        elif mark == "!":
            company.questions.append(Question(rest, article, None))
        elif line.strip() and mark != "company:":
            raise ValueError(f"{name}, line {number}: a line starts with '#', '-', '?' or '!', not {line[:30]!r}")
    return company


def rank(companies: list[Company], meanings: Meanings) -> None:
    """Give each question the sentences that the real retriever brings, best first, and both their meanings.

    The reader then trains on passages in the order, and with the mistakes, that
    it will meet.
    """
    firsts = [meanings.add(_written(company)) for company in companies]
    for company, first in zip(companies, firsts, strict=True):
        size = len(company.sentences)
        vectors = meanings.rows(first, first + size + len(company.questions))
        order = np.argsort(-(vectors[size:] @ vectors[:size].T), axis=1)[:, :RANKED]
        for number, sentence in enumerate(company.sentences):
            sentence.meaning = first + number
        for number, (question, row) in enumerate(zip(company.questions, order, strict=True)):
            question.ranking, question.meaning = row.tolist(), first + size + number


def _written(company: Company) -> list[str]:
    """Return a company's passages, then its questions, with one set of values in their slots."""
    rng = random.Random(company.name)
    values: dict[int, dict[str, str]] = {}
    passages = [f"{s.title}: {fill(s.text, values.setdefault(s.article, {}), rng)}" for s in company.sentences]
    return passages + [fill(q.text, values.setdefault(q.article, {}), rng) for q in company.questions]
