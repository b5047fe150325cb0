"""The invented help centres that the base model learns to read from."""

import hashlib
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from helpers.base_model.slots import fill

FOLDER = Path(__file__).resolve().parents[2] / "data" / "pretraining" / "companies"
RANKED = 8


@dataclass
class Sentence:
    """One sentence of an article, with slots."""

    title: str
    text: str
    article: int


@dataclass
class Question:
    """A customer's question; ``answer`` indexes the company's sentences, None if nothing answers."""

    text: str
    article: int
    answer: int | None
    ranking: list[int] = field(default_factory=list)


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
        elif mark == "!":
            company.questions.append(Question(rest, article, None))
        elif line.strip() and mark != "company:":
            raise ValueError(f"{name}, line {number}: a line starts with '#', '-', '?' or '!', not {line[:30]!r}")
    return company


def rank(companies: list[Company], cache: Path) -> None:
    """Give each question the sentences that the real retriever brings, best first.

    The reader then trains on passages in the order, and with the mistakes, that
    it will meet. Rankings are computed once a file and kept in ``cache``.
    """
    from helpers.models import load_embedder

    cache.mkdir(parents=True, exist_ok=True)
    embedder = None
    for company in companies:
        rng = random.Random(company.name)
        values: dict[int, dict[str, str]] = {}
        passages = [f"{s.title}: {fill(s.text, values.setdefault(s.article, {}), rng)}" for s in company.sentences]
        questions = [fill(q.text, values.setdefault(q.article, {}), rng) for q in company.questions]
        key = hashlib.sha256(json.dumps([passages, questions]).encode()).hexdigest()[:16]
        file = cache / f"{company.name}-{key}.npy"
        if file.exists():
            order = np.load(file)
        else:
            embedder = embedder or load_embedder()
            scores = np.array(embedder.embed_documents(questions)) @ np.array(embedder.embed_documents(passages)).T
            order = np.argsort(-scores, axis=1)[:, :RANKED].astype(np.int16)
            np.save(file, order)
        for question, row in zip(company.questions, order, strict=True):
            question.ranking = row.tolist()
