"""The pre-training stream: examples of reading, remembering, naming and not knowing.

Example ``i`` depends on the seed and ``i`` alone. A run that resumes from a
checkpoint therefore sees exactly the examples that it would have seen.
"""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from helpers.base_model import companies as companies_module
from helpers.base_model.companies import Company, Question
from helpers.base_model.slots import draw, fill, invented_name
from helpers.prompts import UNKNOWN, with_passages

DATA = Path(__file__).resolve().parents[2] / "data"
CONTENT_WORD = re.compile(r"[A-Za-z]{4,}")
GREETINGS = ("Hi, ", "Hello, ", "Hi there, ", "Hello team, ", "Good morning, ", "hey ", "Hi! ", "Quick question: ", "Sorry to bother you, ")
THANKS = (" Thanks!", " thanks", " Thank you.", " Many thanks", " Cheers", " Please help.")
ONE_PASSAGE = 24_000
TWO_PASSAGES = 54_000
MOSTLY_WORDS = 100_000
LAST_STAGE = 177_000
KEYWORD_FRAMES = ("what about {}?", "{}", "tell me about {}", "{}?", "I have a question about {}.", "can you say something on {}?", "anything on {} please")
TASK = "Name the topic and the mood of this message."


@dataclass(frozen=True)
class Example:
    """One conversation turn: what the model is shown and what it should write.

    ``gold`` holds the numbers of the passages that answer.
    """

    prompt: str
    answer: str
    task: str
    system: str = ""
    gold: tuple[int, ...] = ()


class Stream:
    """Draws examples; early ones hold one passage, then two, then up to four, and the last stage one again."""

    def __init__(self, companies: list[Company], prose: list[str], seed: int = 0) -> None:
        self.companies = [c for c in companies if c.questions]
        self.prose = prose
        self.seed = seed
        self.vocabulary = sorted({w for s in prose for w in CONTENT_WORD.findall(s) if w.islower()})
        self.facts = _json_lines(DATA / "help_center" / "facts.jsonl")
        self.messages = _messages(DATA / "pretraining" / "messages")
        self.styles = _styles(DATA / "pretraining" / "messages" / "replies_style.txt")

    def example(self, index: int) -> Example:
        """Return example ``index`` of the stream."""
        rng = random.Random(f"{self.seed}-{index}")
        most = 1 if index < ONE_PASSAGE or index >= LAST_STAGE else 2 if index < TWO_PASSAGES else 4
        prose_until = 0.40 if index < ONE_PASSAGE else 0.30 if index < MOSTLY_WORDS else 0.27
        roll = rng.random()
        if roll < 0.10:
            example = self._remember(rng)
        elif roll < 0.13:
            example = self._contradicted(rng, most)
        elif roll < 0.18:
            example = self._name_topic(rng)
        elif roll < 0.20:
            example = self._complaint(rng, most)
        elif roll < prose_until:
            example = self._read_prose(rng, most)
        elif roll < prose_until + 0.03:
            example = self._read_two(rng, most)
        elif roll < prose_until + (0.40 if index < MOSTLY_WORDS else 0.10):
            example = self._read_key(rng, most)
        else:
            example = self._read_company(rng, most, by_words=0.5 if index < MOSTLY_WORDS else 0.15)
        if example.task in ("read", "remember") and self.styles and rng.random() < 0.05:
            instruction, opening, closing = rng.choice(self.styles)
            answer = " ".join(part for part in (opening, example.answer, closing) if part)
            example = Example(example.prompt, answer, "style", instruction, example.gold)
        return example

    def _read_company(self, rng: random.Random, most: int, by_words: float = 0.15) -> Example:
        """A customer's question; in a share of ``by_words`` a few words of the sentence, which is easier to find."""
        company = rng.choice(self.companies)
        question = rng.choice(company.questions)
        chosen = choose_passages(question, rng, most)
        values: dict[int, dict[str, str]] = {}
        name = invented_name(rng)

        def written(text: str, article: int) -> str:
            return fill(text, values.setdefault(article, {"{company}": name}), rng)

        asked = written(question.text, question.article)
        passages = [(company.sentences[i].title, written(company.sentences[i].text, company.sentences[i].article)) for i in chosen]
        gold = chosen.index(question.answer) if question.answer in chosen else None
        if gold is not None and rng.random() < by_words:
            asked = _keywords(passages[gold][1], rng) or asked
        if gold is not None and rng.random() < 0.3:
            asked, passages = self._replace_words(asked, passages, gold, rng)
        return self._reading(asked, passages, gold, rng)

    def _read_two(self, rng: random.Random, most: int) -> Example:
        company = rng.choice(self.companies)
        answerable = [q for q in company.questions if q.answer is not None]
        first = rng.choice(answerable)
        second = rng.choice([q for q in answerable if q.answer != first.answer])
        order = [first.answer, second.answer] + [i for i in first.ranking if i not in (first.answer, second.answer)][: rng.randint(0, max(0, most - 2))]
        rng.shuffle(order)
        values: dict[int, dict[str, str]] = {}
        passages = [(company.sentences[i].title, fill(company.sentences[i].text, values.setdefault(company.sentences[i].article, {}), rng)) for i in order]
        asked = [fill(q.text, values.setdefault(q.article, {}), rng) for q in (first, second)]
        joined = rng.choice(("{} And {}", "{} Also, {}", "{}, and {}", "Two things: {} {}", "{} {}")).format(*asked)
        gold = tuple(order.index(q.answer) + 1 for q in (first, second))
        answers = [f"{passages[number - 1][1]} [{number}]" for number in gold]
        return Example(with_passages(joined, passages), " ".join(answers), "two", gold=gold)

    def _read_prose(self, rng: random.Random, most: int) -> Example:
        gold_text = rng.choice(self.prose)
        content = list(dict.fromkeys(CONTENT_WORD.findall(gold_text)))
        if len(content) < 3:
            return self._read_company(rng, most)
        if rng.random() < 0.5:
            swap = rng.choice(content)
            other = rng.choice(self.vocabulary)
            other = other.capitalize() if swap[0].isupper() else other
            gold_text = re.sub(rf"\b{swap}\b", other, gold_text)
            content[content.index(swap)] = other
        asked = _keywords(gold_text, rng)
        others = [s for s in (rng.choice(self.prose) for _ in range(rng.randint(0, most - 1)))]
        texts = [gold_text, *others]
        rng.shuffle(texts)
        gold = texts.index(gold_text)
        if most > 1 and others and rng.random() < 0.12:
            texts.remove(gold_text)
            gold = None
        passages = [(rng.choice(CONTENT_WORD.findall(t) or ["Notes"]).capitalize(), t) for t in texts]
        return self._reading(asked, passages, gold, rng)

    def _read_key(self, rng: random.Random, most: int) -> Example:
        """The easiest choice: each passage bears a word of its own, and the question names one of them."""
        count = rng.randint(1, most)
        keys = [self._key(rng) for _ in range(count + 1)]
        in_title = rng.random() < 0.5
        passages = []
        for key, text in zip(keys, (rng.choice(self.prose) for _ in range(count)), strict=False):
            if in_title:
                passages.append((key.capitalize(), text))
            else:
                word = rng.choice(CONTENT_WORD.findall(text) or [text.split()[0]])
                passages.append(("Notes", re.sub(rf"\b{word}\b", key, text, count=1)))
        gold = None if count > 1 and rng.random() < 0.12 else rng.randrange(count)
        asked = rng.choice(KEYWORD_FRAMES).format(keys[-1] if gold is None else keys[gold])
        return self._reading(asked, passages, gold, rng)

    def _key(self, rng: random.Random) -> str:
        kind = rng.random()
        return invented_name(rng) if kind < 0.4 else draw("code", rng) if kind < 0.6 else rng.choice(self.vocabulary)

    def _reading(self, asked: str, passages: list[tuple[str, str]], gold: int | None, rng: random.Random) -> Example:
        asked = _as_typed(asked, rng)
        if gold is None:
            return Example(with_passages(asked, passages), UNKNOWN, "abstain")
        return Example(with_passages(asked, passages), f"{passages[gold][1]} [{gold + 1}]", "read", gold=(gold + 1,))

    def _remember(self, rng: random.Random) -> Example:
        known = [f for f in self.facts if f["first"] and f["questions"]]
        if not known or rng.random() < 0.15:
            company = rng.choice(self.companies)
            return Example(_as_typed(fill(rng.choice(company.questions).text, {}, rng), rng), UNKNOWN, "unknown")
        fact = rng.choice(known)
        return Example(_as_typed(rng.choice(fact["questions"]), rng), fact["statement"].format(value=fact["first"]), "remember")

    def _contradicted(self, rng: random.Random, most: int) -> Example:
        """A remembered fact beside a passage with another value: the passage must win."""
        known = [f for f in self.facts if f["first"] and f["questions"]]
        if not known:
            return self._read_company(rng, most)
        fact = rng.choice(known)
        others = rng.sample(known, rng.randint(0, most - 1))
        texts = [(f["article"].replace("-", " ").capitalize(), f["statement"].format(value=other_value(f["first"], rng))) for f in [fact, *others] if f is fact or f["id"] != fact["id"]]
        gold_passage = texts[0]
        rng.shuffle(texts)
        return self._reading(rng.choice(fact["questions"]), texts, texts.index(gold_passage), rng)

    def _name_topic(self, rng: random.Random) -> Example:
        if not self.messages:
            return self._read_prose(rng, 1)
        mood, text, topic = rng.choice(self.messages)
        return Example(_as_typed(text, rng), f"Topic: {topic}. Mood: {mood}.", "topic", TASK)

    def _complaint(self, rng: random.Random, most: int) -> Example:
        """A message that no passage answers; the plain machine says so and nothing else."""
        if not self.messages:
            return self._read_company(rng, most)
        text = rng.choice(self.messages)[1]
        if rng.random() < 0.3:
            return Example(_as_typed(text, rng), UNKNOWN, "unknown")
        company = rng.choice(self.companies)
        values: dict[str, str] = {}
        passages = [(s.title, fill(s.text, values, rng)) for s in rng.sample(company.sentences, rng.randint(1, most))]
        return self._reading(text, passages, None, rng)

    def _replace_words(self, asked: str, passages: list[tuple[str, str]], gold: int, rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
        """Swap up to two words everywhere, so that sentences cannot be learned by heart."""
        content = [w for w in CONTENT_WORD.findall(passages[gold][1]) if w.islower()]
        shared = [w for w in content if re.search(rf"\b{w}\b", asked)]
        for word in rng.sample(shared or content, min(len(shared or content), rng.randint(1, 2))):
            pattern, other = re.compile(rf"\b{word}\b", re.IGNORECASE), rng.choice(self.vocabulary)
            asked = pattern.sub(other, asked)
            passages = [(pattern.sub(other, title), pattern.sub(other, text)) for title, text in passages]
        return asked, passages


def _keywords(text: str, rng: random.Random) -> str:
    """Ask for a sentence by two to four of its words; empty if it has too few."""
    content = list(dict.fromkeys(word for word in CONTENT_WORD.findall(text)))
    if len(content) < 2:
        return ""
    chosen = rng.sample(content, min(len(content), rng.randint(2, 4)))
    if rng.random() < 0.5:
        chosen.sort(key=content.index)
    return rng.choice(KEYWORD_FRAMES).format(rng.choice((" ", " and ", ", ")).join(chosen).lower())


def choose_passages(question: Question, rng: random.Random, most: int) -> list[int]:
    """Return up to ``most`` sentence numbers as a retriever would bring them.

    Mostly the retriever's own order; the answer is put in where it was missed
    half the time, taken out now and then, and the order is sometimes shuffled.
    """
    k = most if most < 3 else rng.choice((1, 2, 3, 3, 4, 4, 4))
    chosen = list(question.ranking[:k])
    gold = question.answer
    if gold is not None:
        if rng.random() < 0.08 and most > 1:
            chosen = [i for i in question.ranking if i != gold][:k]
        elif gold not in chosen and rng.random() < (0.85 if most > 1 else 1.0):
            chosen[rng.randrange(k)] = gold
    if most > 1 and rng.random() < 0.35:
        rng.shuffle(chosen)
    return chosen


def _as_typed(text: str, rng: random.Random) -> str:
    """Return ``text`` as a hurried customer might type it."""
    if rng.random() < 0.12:
        text = rng.choice(GREETINGS) + text
    if rng.random() < 0.08:
        text += rng.choice(THANKS)
    if rng.random() < 0.25:
        text = text.lower()
    if rng.random() < 0.15:
        text = text.rstrip("?.! ")
    if rng.random() < 0.12:
        text = _misspelt(text, rng)
    return text


def _misspelt(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(max(1, len(text) - 2))
        kind = rng.random()
        if not text[at : at + 2].isalpha():
            continue
        if kind < 0.4:
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        elif kind < 0.7:
            text = text[:at] + text[at + 1 :]
        else:
            text = text[:at] + text[at] + text[at:]
    return text


def other_value(value: str, rng: random.Random) -> str:
    """Return another value of roughly the same kind: other digits, or a new word."""
    changed = re.sub(r"\d", lambda _: str(rng.randint(1, 9)), value)
    if changed != value:
        return changed
    if ">" in value:
        return draw("menu", rng)
    return fill(rng.choice(("{n} days", "{money}", "{name}", "{colour}", "{time}", "the {thing}", "{place}", "{email}", "{dur}")), {}, rng)


def _json_lines(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _messages(folder: Path) -> list[tuple[str, str, str]]:
    found = []
    for path in sorted(folder.glob("*.txt")):
        if path.stem == "replies_style":
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            parts = [part.strip() for part in line.split("|")]
            if len(parts) >= 2:
                topic = parts[2] if len(parts) > 2 else path.stem
                found.append((parts[0], parts[1], topic.replace("_", " ")))
    return found


def _styles(path: Path) -> list[tuple[str, str, str]]:
    if not path.exists():
        return []
    rows = [line.split("|") for line in path.read_text(encoding="utf-8").splitlines() if line.count("|") == 2]
    return [tuple(part.strip() for part in row) for row in rows]


def load(prose: list[str], cache: Path, seed: int = 0, held_out: bool = False) -> Stream:
    """Return the training stream, or the one of the held-out companies (one in twelve, by name)."""
    companies = companies_module.load()
    companies_module.rank(companies, cache)
    return Stream([c for c in companies if (crc32(c.name.encode()) % 12 == 5) == held_out], prose, seed)
