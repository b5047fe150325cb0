"""The invented help centres that the base model learns to read from."""

import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from helpers.base_model.meaning import Meanings
from helpers.base_model.slots import fill
from helpers.paths import DATA

FOLDER = DATA / "pretraining" / "companies"
RANKED = 8
LONGEST_HEADING = 8


@dataclass
class Sentence:
    """One sentence of an article, with slots; ``meaning`` is its row in the meanings, ``headings`` what it could stand under."""

    title: str
    text: str
    article: int
    meaning: int = -1
    headings: list[str] = field(default_factory=list)


@dataclass
class Question:
    """A customer's question; ``answer`` indexes the company's sentences, None if nothing answers."""

    text: str
    article: int
    answer: int | None
    ranking: list[int] = field(default_factory=list)
    meaning: int = -1


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
    for company in companies:
        rng = random.Random(company.name)
        values: dict[int, dict[str, str]] = {}
        passages = [f"{s.title}: {fill(s.text, values.setdefault(s.article, {}), rng)}" for s in company.sentences]
        questions = [fill(q.text, values.setdefault(q.article, {}), rng) for q in company.questions]
        at = meanings.add([*passages, *questions])
        split = at + len(passages)
        vectors = meanings.rows(at, split + len(questions))
        order = np.argsort(-(vectors[len(passages) :] @ vectors[: len(passages)].T), axis=1)[:, :RANKED]
        for number, sentence in enumerate(company.sentences):
            sentence.meaning = at + number
        for number, (question, row) in enumerate(zip(company.questions, order, strict=True)):
            question.ranking, question.meaning = row.tolist(), split + number
