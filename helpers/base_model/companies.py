"""The invented help centres that the base model learns to read from."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from helpers.base_model.meaning import NO_MEANING, Meanings
from helpers.base_model.slots import fill, invented_name
from helpers.knowledge import in_context
from helpers.paths import PRETRAINING

SEARCH_FOLDERS = tuple(PRETRAINING / name for name in ("companies", "new_companies", "more_companies"))
READER_FOLDER = PRETRAINING / "later_companies"
FOLDERS = (*SEARCH_FOLDERS, READER_FOLDER)
REHEARSED = PRETRAINING / "rehearsed_companies"
LONGEST_HEADING = 8


@dataclass
class Sentence:
    """One sentence of an article, with slots; ``meaning`` is its row in the meanings."""

    title: str
    text: str
    article: int
    heading: str = ""
    meaning: int = NO_MEANING


class Found(NamedTuple):
    """The numbers of the sentences that the course's search shows for a question, best first, and whether it is sure."""

    numbers: tuple[int, ...]
    sure: bool


@dataclass
class Question:
    """A customer's question; ``answer`` indexes the company's sentences, None if nothing answers.

    ``ranking`` is the embedder's, ``found`` what the whole search shows, where it was asked (``searching.search``).
    """

    text: str
    article: int
    answer: int | None
    ranking: list[int] = field(default_factory=list)
    meaning: int = NO_MEANING
    found: Found | None = None


@dataclass
class NearMiss:
    """A question that sounds as if the sentence ``tempting`` answered it, and nothing of the company does."""

    text: str
    article: int
    tempting: int
    found: Found | None = None


@dataclass
class Company:
    """One organisation's sentences and the questions about them; ``folder`` names where it was read from."""

    name: str
    sentences: list[Sentence]
    questions: list[Question]
    near_misses: list[NearMiss] = field(default_factory=list)
    folder: str = ""


def is_held_out(name: str) -> bool:
    """True for one name in twelve, by a checksum: what the training never reads."""
    return crc32(name.encode()) % 12 == 5


def load(folders: Sequence[Path] = FOLDERS) -> list[Company]:
    """Parse every ``*.txt`` in ``folders``, in the order of their names; see the README there for the format.

    Raises:
        ValueError: a line that is none of ``company: # - ? ~ !``, with its place.
    """
    return [replace(parse(path.read_text(encoding="utf-8"), path.name), folder=folder.name) for folder in folders for path in sorted(folder.glob("*.txt"))]


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
        elif mark == "~":
            company.near_misses.append(NearMiss(rest, article, len(company.sentences) - 1))
        elif mark == "!":
            company.questions.append(Question(rest, article, None))
        elif line.strip() and mark != "company:":
            raise ValueError(f"{name}, line {number}: a line starts with '#', '-', '?', '~' or '!', not {line[:30]!r}")
    return company


class Texts(NamedTuple):
    """A company's sentences in their context and alone, its questions and near misses, in the order of the company."""

    in_context: list[str]
    alone: list[str]
    questions: list[str]
    near_misses: list[str]

    def all(self) -> list[str]:
        """Return the texts that have a meaning and a ranking; a near miss takes those of the sentence that tempts."""
        return [*self.in_context, *self.alone, *self.questions]


def give_headings(company: Company) -> None:
    """Put runs of one to three sentences under a heading, as help centres do.

    A heading is a short question that one of its sentences answers. Nobody asks it
    any more: it would stand word for word in the passage. One article in five
    stays without headings.
    """
    rng = random.Random(company.name)
    short: dict[int, list[Question]] = {}
    for question in company.questions:
        if question.answer is not None and len(question.text.split()) <= LONGEST_HEADING and "{" not in question.text:
            short.setdefault(question.answer, []).append(question)
    used: set[int] = set()
    left, heading, plain = 0, "", {a for a in range(len(company.sentences)) if rng.random() < 0.2}
    for number, sentence in enumerate(company.sentences):
        if not left or sentence.article != company.sentences[number - 1].article:
            left = rng.choice((1, 2, 2, 3, 3))
            run = [n for n in range(number, min(number + left, len(company.sentences))) if company.sentences[n].article == sentence.article]
            options = [q for n in run for q in short.get(n, [])]
            chosen = rng.choice(options) if options and sentence.article not in plain else None
            heading = _as_heading(chosen.text, rng) if chosen else ""
            used |= {id(chosen)}
        sentence.heading, left = heading, left - 1
    company.questions = [q for q in company.questions if id(q) not in used]


def _as_heading(question: str, rng: random.Random) -> str:
    return (question[0].upper() + question[1:]).rstrip("?.! ") + rng.choice(("?", ""))


def load_headed(folders: Sequence[Path] = FOLDERS) -> list[Company]:
    """Parse every company in ``folders`` and put its sentences under headings."""
    companies = load(folders)
    for company in companies:
        give_headings(company)
    return companies


def load_with_headings(met: int = 1, folders: Sequence[Path] = FOLDERS) -> tuple[list[Company], list[Company]]:
    """Return all companies with headings, those of the first ``met`` folders and the others."""
    return load_headed(folders[:met]), load_headed(folders[met:])


def writer(rng: random.Random) -> Callable[[str, int], str]:
    """Return what fills the slots of a text, from the text and its article: an article's values stay the same, and so does the company's name."""
    values: dict[int, dict[str, str]] = {}
    name = invented_name(rng)

    def written(text: str, article: int) -> str:
        return fill(text, values.setdefault(article, {"{company}": name}), rng)

    return written


def give_meanings(companies: list[Company], meanings: Meanings) -> None:
    """Give each sentence in its context and each question its row in the meanings."""
    firsts = [meanings.add(texts_of(company).all()) for company in companies]
    for company, first in zip(companies, firsts, strict=True):
        size = len(company.sentences)
        for number, sentence in enumerate(company.sentences):
            sentence.meaning = first + number
        for number, question in enumerate(company.questions):
            question.meaning = first + 2 * size + number


def texts_of(company: Company) -> Texts:
    """Return a company's sentences and questions with one set of values in their slots."""
    rng = random.Random(company.name)
    values: dict[int, dict[str, str]] = {}
    alone = [fill(s.text, values.setdefault(s.article, {}), rng) for s in company.sentences]
    placed = [in_context(s.title, s.heading, text) for s, text in zip(company.sentences, alone, strict=True)]
    questions = [fill(q.text, values.setdefault(q.article, {}), rng) for q in company.questions]
    return Texts(placed, alone, questions, [fill(near.text, values.setdefault(near.article, {}), rng) for near in company.near_misses])
