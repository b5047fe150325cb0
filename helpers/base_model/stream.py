"""The pre-training stream: examples of reading, remembering, naming and not knowing.

Example ``i`` depends on the seed and ``i`` alone. A run that resumes from a
checkpoint therefore sees exactly the examples that it would have seen.
"""

import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

from helpers.base_model import companies as companies_module, retrieval, searching
from helpers.base_model.companies import Company, NearMiss, Question, is_held_out
from helpers.base_model.meaning import NO_MEANING, Meanings
from helpers.base_model.slots import draw, fill, invented_name, splice, with_odd_slots
from helpers.paths import PRETRAINING
from helpers.prompts import UNKNOWN, cited, with_passages
from helpers.scenarios import Fact, load_facts, read_lines

CONTENT_WORD = re.compile(r"[A-Za-z]{4,}")
GREETINGS = ("Hi, ", "Hello, ", "Hi there, ", "Hello team, ", "Good morning, ", "hey ", "Hi! ", "Quick question: ", "Sorry to bother you, ")
THANKS = (" Thanks!", " thanks", " Thank you.", " Many thanks", " Cheers", " Please help.")
ONE_PASSAGE = 10_000
TWO_PASSAGES = 20_000
EARLY = 60_000
MOST_PASSAGES = (1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8)
NEW_SHARE = 0.7
SAME_QUESTION = 0.75
NOTHING_FOUND_SHARE = 0.35
ODD_SHARE = 0.2
MISSES_KEPT = 0.35
TEMPTING_ALONE = 0.5
TEMPTING_FIRST = 0.8
# By where the embedder alone puts the answer: the shares of (how many are shown, the place of the answer or 0, sure).
# Sure and wrong, which happens for 1 to 3 % of the questions that have an answer, is left out: the reader shall trust a search that is sure.
SHOWN_AFTER_RERANKING = {
    "first": {(1, 1, True): 0.64, (2, 1, True): 0.05, (2, 2, True): 0.01, (0, 0, False): 0.02, (1, 0, False): 0.01, (1, 1, False): 0.12, (2, 0, False): 0.01, (2, 1, False): 0.11, (2, 2, False): 0.03},
    "second": {(1, 1, True): 0.04, (2, 1, True): 0.08, (2, 2, True): 0.10}
    | {(0, 0, False): 0.11, (1, 0, False): 0.10, (1, 1, False): 0.06, (2, 0, False): 0.07, (2, 1, False): 0.20, (2, 2, False): 0.16},
    "lower": {(1, 1, True): 0.01, (2, 2, True): 0.01}
    | {(0, 0, False): 0.18, (1, 0, False): 0.24, (1, 1, False): 0.02, (2, 0, False): 0.32, (2, 1, False): 0.06, (2, 2, False): 0.05},
    "nowhere": {(0, 0, False): 0.29, (1, 0, False): 0.33, (2, 0, False): 0.34},
    "missing": {(0, 0, False): 0.27, (1, 0, False): 0.28, (2, 0, False): 0.30},
}
SURE_SHARE = {"first": 0.75, "later": 0.25, "missing": 0.0}
KEYWORD_FRAMES = ("what about {}?", "{}", "tell me about {}", "{}?", "I have a question about {}.", "can you say something on {}?", "anything on {} please")
TOPIC_TASKS = {
    "Name the topic and the mood of this message.": "Topic: {}. Mood: {}.",
    "Name the topic and the mood of this message, each on a line of its own.": "topic: {}\nmood: {}",
}
LAST_LINE_TASKS = ("Answer, then name the topic on a last line.", "Write an answer. Its last line names the topic of the message.", "Answer first, topic last.")
FIRST_LINE_TASKS = ("Name the topic on a first line, then answer.", "Begin with the topic of the message. The answer stands below.", "Topic first, answer last.")
QUESTION_TOPIC = "question"

MESSAGES = PRETRAINING / "messages", PRETRAINING / "later_messages"
Message = tuple[str, str, str]


@dataclass(frozen=True)
class Unanswered:
    """From how many readings the answer is taken out: a share ``early``, then a share ``late`` from example ``as_in_use`` on.

    More readings than that have no answer: some questions are answered nowhere, and the reranker leaves some answers out.

    Many teach to tell; as few as in use teach not to suspect it too often. From
    ``as_in_use`` on, most readings are also about companies that were not met before.
    """

    early: float = 0.12
    late: float = 0.04
    as_in_use: int = 10**9

    def share(self, index: int) -> float:
        """Return the share at example ``index``."""
        return self.late if index >= self.as_in_use else self.early


@dataclass(frozen=True)
class Example:
    """One conversation turn: what the model is shown and what it should write.

    ``gold`` holds the numbers of the passages that answer. ``asked`` and
    ``shown`` are the rows of the question's and the passages' meanings.
    """

    prompt: str
    answer: str
    task: str
    system: str = ""
    gold: tuple[int, ...] = ()
    asked: int = NO_MEANING
    shown: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A passage as it stands in a prompt."""

    title: str
    text: str
    meaning: int = NO_MEANING


class Stream:
    """Draws examples; the first ones hold one passage, then up to two, then up to eight; ``pace`` makes that beginning longer.

    ``new`` companies and ``new_messages`` come only from ``unanswered.as_in_use`` on. Questions that the
    model knows by heart do not teach it how far to trust the order in which
    passages arrive, and messages that it knows by heart do not teach it to understand; those that it has never seen do.
    From there on a share ``near_misses`` of the readings about companies has no answer and a sentence that looks like one.
    """

    def __init__(
        self,
        companies: list[Company],
        prose: list[str],
        seed: int = 0,
        meanings: Meanings | None = None,
        messages: list[Message] | None = None,
        unanswered: Unanswered = Unanswered(),
        new: list[Company] | None = None,
        pace: int = 1,
        reranked: float = 0.0,
        near_misses: float = 0.0,
        new_messages: list[Message] | None = None,
    ) -> None:
        self.companies = [c for c in companies if c.questions]
        self.new = [c for c in new or () if c.questions]
        self.prose = prose
        self.seed = seed
        self.unanswered = unanswered
        self.pace = pace
        self.reranked = reranked
        self.near_misses = near_misses
        self.vocabulary = sorted({w for s in prose for w in CONTENT_WORD.findall(s) if w.islower()})
        self.facts = [f for f in all_wordings() if f.first]
        met = messages if messages is not None else _messages(MESSAGES[0])
        self.met_messages, self.messages = len(met), [*met, *(new_messages or ())]
        self.filler = (PRETRAINING / "filler.txt").read_text(encoding="utf-8").splitlines()
        self.styles = _styles(MESSAGES[0] / "replies_style.txt")
        self.fact_rows = [meanings.add(f.questions) if meanings else NO_MEANING for f in self.facts]
        self.foreign = _foreign(self.companies, self.fact_rows[0], meanings) if meanings else [q for c in self.companies for q in c.questions]
        self.message_row = meanings.add([text for _, text, _ in self.messages]) if meanings else NO_MEANING

    def example(self, index: int) -> Example:
        """Return example ``index`` of the stream."""
        rng = random.Random(f"{self.seed}-{index}")
        most = 1 if index < self.pace * ONE_PASSAGE else 2 if index < self.pace * TWO_PASSAGES else rng.choice(MOST_PASSAGES)
        missing, in_use = self.unanswered.share(index), index >= self.unanswered.as_in_use
        early = index < self.pace * EARLY
        roll = rng.random()
        if roll < 0.10:
            example = self._remember(rng)
        elif roll < 0.12:
            example = self._unknown(rng)
        elif roll < 0.17:
            example = self._contradicted(rng, most, missing)
        elif roll < 0.33:
            example = self._name_topic(rng, most, in_use)
        elif roll < 0.35:
            example = self._complaint(rng, most, in_use)
        elif roll < 0.38:
            example = self._read_two(rng, most)
        elif roll < (0.50 if early else 0.40):
            example = self._read_key(rng, most)
        elif roll < (0.63 if early else 0.45):
            example = self._read_prose(rng, most)
        else:
            example = self._read_company(rng, most, missing, in_use)
            example = _topic_beside(example, QUESTION_TOPIC, rng) if rng.random() < 0.08 else example
        return self._styled(example, rng)

    def _styled(self, example: Example, rng: random.Random) -> Example:
        """Now and then put a system prompt in front: instructions about style, or prose that asks for nothing."""
        if example.system or rng.random() > 0.13:
            return example
        if rng.random() < 0.25:
            return replace(example, system=" ".join(rng.choice(self.prose) for _ in range(rng.randint(1, 5))))
        chosen = [rng.choice(self.styles) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        rng.shuffle(chosen)
        openings = [opening for _, opening, _ in chosen if opening][:1]
        closings = [closing for _, _, closing in chosen if closing][:1]
        if rng.random() < 0.2:
            label, name = rng.choice(("name", "signed", "team", "from")), rng.choice((invented_name(rng), draw("thing", rng)))
            chosen.append((f"End with the line {label}: {name}.", "", ""))
            closings = [*closings[:-1], f"{closings[-1] if closings else ''}\n{label}: {name}".lstrip(" ")]
        instruction = " ".join(text for text, _, _ in chosen)
        answer = " ".join(part for part in (*openings, example.answer, *closings) if part).replace(" \n", "\n")
        return replace(example, system=instruction, answer=answer, task="style")

    def _read_company(self, rng: random.Random, most: int, missing: float, in_use: bool = False, by_words: float = 0.08) -> Example:
        """A customer's question; in a share of ``by_words`` a few words of the sentence, which is easier to find.

        In about twice the share ``missing`` the answer is not among the passages on purpose.
        In a share of ``ODD_SHARE`` the values are of another kind than the question asks for.
        As in use, a share ``self.reranked`` shows what is left after reranking; in the others the answer stands where
        the retriever puts it, and a question that it misses is not asked.
        """
        company = rng.choice(self.new if in_use and self.new and rng.random() < NEW_SHARE else self.companies)
        if in_use and self.near_misses and company.near_misses and rng.random() < self.near_misses:
            return self._near_miss(company, rng)
        reranked = in_use and rng.random() < self.reranked
        asked_about = [q for q in company.questions if q.answer in q.ranking[:most]] if in_use and not reranked else company.questions
        question = rng.choice(asked_about or company.questions)
        if question.answer is not None and rng.random() < missing:
            question = rng.choice([q for q in company.questions if q.answer is None] or [question])
        chosen, sure = as_reranked(question, rng, missing) if reranked else (choose_passages(question, rng, most, missing), None)
        written, odd = companies_module.writer(rng), rng.random() < ODD_SHARE
        asked = written(question.text, question.article)
        passages = []
        for number in chosen:
            sentence = company.sentences[number]
            text = with_odd_slots(sentence.text, rng) if odd else sentence.text
            meaning = sentence.meaning if text == sentence.text else NO_MEANING
            passages.append(Shown(written(sentence.heading or sentence.title, sentence.article), written(text, sentence.article), meaning))
        gold = chosen.index(question.answer) if question.answer in chosen else None
        if rng.random() < 0.12 and len(passages) > 1:
            other = rng.choice([i for i in range(len(passages)) if i != gold])
            passages[other] = Shown(rng.choice(passages).title, rng.choice(self.filler))
        row = question.meaning
        if gold is not None and rng.random() < by_words:
            asked, row = _keywords(passages[gold].text, rng) or asked, NO_MEANING
        if gold is not None and rng.random() < 0.35:
            asked, passages = self._replace_words(asked, passages, gold, rng)
            row = NO_MEANING
        return self._reading(asked, passages, gold, rng, row, sure)

    def _near_miss(self, company: Company, rng: random.Random) -> Example:
        """A question that nothing answers, with the sentence that tempts: alone, or with another that the retriever brings beside it."""
        near = rng.choice(company.near_misses)
        chosen = beside_tempting(company, near, rng)
        written = companies_module.writer(rng)
        sentences = [company.sentences[number] for number in chosen]
        passages = [Shown(written(s.heading or s.title, s.article), written(s.text, s.article), s.meaning) for s in sentences]
        return self._reading(written(near.text, near.article), passages, None, rng, sure=False)

    def _read_two(self, rng: random.Random, most: int) -> Example:
        company = rng.choice(self.companies)
        answerable = [q for q in company.questions if q.answer is not None]
        first = rng.choice(answerable)
        second = rng.choice([q for q in answerable if q.answer != first.answer])
        order = [first.answer, second.answer] + [i for i in first.ranking if i not in (first.answer, second.answer)][: rng.randint(0, max(0, most - 2))]
        rng.shuffle(order)
        values: dict[int, dict[str, str]] = {}
        passages = [(company.sentences[i].heading or company.sentences[i].title, fill(company.sentences[i].text, values.setdefault(company.sentences[i].article, {}), rng)) for i in order]
        asked = [fill(q.text, values.setdefault(q.article, {}), rng) for q in (first, second)]
        joined = rng.choice(("{} And {}", "{} Also, {}", "{}, and {}", "Two things: {} {}", "{} {}")).format(*asked)
        gold = tuple(order.index(q.answer) + 1 for q in (first, second))
        answers = [cited(number, passages[number - 1][1]) for number in gold]
        return Example(with_passages(joined, passages, draw_sure(1, rng)), " ".join(answers), "two", gold=gold, shown=tuple(company.sentences[i].meaning for i in order))

    def _read_prose(self, rng: random.Random, most: int) -> Example:
        gold_text = rng.choice(self.prose)
        content = list(dict.fromkeys(CONTENT_WORD.findall(gold_text)))
        if len(content) < 3:
            return self._read_company(rng, most, self.unanswered.late)
        if rng.random() < 0.5:
            swap = rng.choice(content)
            other = rng.choice(self.vocabulary)
            other = other.capitalize() if swap[0].isupper() else other
            gold_text = re.sub(rf"\b{swap}\b", other, gold_text)
        asked = _keywords(gold_text, rng)
        texts = [gold_text, *(rng.choice(self.prose) for _ in range(rng.randint(0, most - 1)))]
        rng.shuffle(texts)
        gold = texts.index(gold_text)
        if len(texts) > 1 and rng.random() < 0.12:
            texts.remove(gold_text)
            gold = None
        passages = [Shown(rng.choice(CONTENT_WORD.findall(t) or ["Notes"]).capitalize(), t) for t in texts]
        return self._reading(asked, passages, gold, rng)

    def _read_key(self, rng: random.Random, most: int) -> Example:
        """The easiest choice: each passage bears a word of its own, and the question names one of them."""
        count = rng.randint(1, most)
        keys = [self._key(rng) for _ in range(count + 1)]
        in_title = rng.random() < 0.5
        passages = []
        for key, text in zip(keys, (rng.choice(self.prose) for _ in range(count)), strict=False):
            if in_title:
                passages.append(Shown(key.capitalize(), text))
            else:
                word = rng.choice(CONTENT_WORD.findall(text) or [text.split()[0]])
                passages.append(Shown("Notes", re.sub(rf"\b{word}\b", key, text, count=1)))
        gold = None if count > 1 and rng.random() < 0.12 else rng.randrange(count)
        asked = rng.choice(KEYWORD_FRAMES).format(keys[-1] if gold is None else keys[gold])
        return self._reading(asked, passages, gold, rng)

    def _key(self, rng: random.Random) -> str:
        kind = rng.random()
        return invented_name(rng) if kind < 0.4 else draw("code", rng) if kind < 0.6 else rng.choice(self.vocabulary)

    def _reading(self, asked: str, passages: list[Shown] | None, gold: int | None, rng: random.Random, row: int = NO_MEANING, sure: bool | None = None) -> Example:
        """Ask about passages; None stands for no search.

        How sure the search is (``sure``) is drawn where it is not given. Then also, of those that no passage
        answers, a share shows none: a search that found nothing says so in the prompt.
        """
        asked = as_typed(asked, rng)
        found_nothing = bool(passages) and gold is None and sure is None and rng.random() < NOTHING_FOUND_SHARE
        placed = [] if found_nothing or passages is None else passages
        if sure is None:
            sure = draw_sure(gold, rng)
        prompt = asked if passages is None else with_passages(asked, [(p.title, p.text) for p in placed], sure)
        shown = tuple(p.meaning for p in placed)
        if gold is None:
            return Example(prompt, UNKNOWN, "abstain", asked=row, shown=shown)
        return Example(prompt, cited(gold + 1, passages[gold].text), "read", gold=(gold + 1,), asked=row, shown=shown)

    def _remember(self, rng: random.Random) -> Example:
        number = rng.randrange(len(self.facts))
        fact, at = self.facts[number], rng.randrange(len(self.facts[number].questions))
        return Example(as_typed(fact.questions[at], rng), fact.statement.format(value=fact.first), "remember", asked=_row(self.fact_rows[number], at))

    def _unknown(self, rng: random.Random) -> Example:
        question = rng.choice(self.foreign)
        return Example(as_typed(fill(question.text, {}, rng), rng), UNKNOWN, "unknown", asked=question.meaning)

    def _contradicted(self, rng: random.Random, most: int, missing: float) -> Example:
        """A remembered fact beside passages: a passage with another value must win; without one, memory does not count."""
        number = rng.randrange(len(self.facts))
        fact, at = self.facts[number], rng.randrange(len(self.facts[number].questions))
        near = [f for f in self.facts if f.article == fact.article and f is not fact]
        pool = near if near and rng.random() < 0.6 else [f for f in self.facts if f is not fact]
        others = rng.sample(pool, min(len(pool), rng.randint(0, most - 1)))
        answered = not others or rng.random() > 0.18 + missing
        shown = [fact, *others] if answered else others
        passages = [Shown(f.article.replace("-", " ").capitalize(), f.statement.format(value=other_value(f.first, rng))) for f in shown]
        gold_passage = passages[0]
        rng.shuffle(passages)
        return self._reading(fact.questions[at], passages, passages.index(gold_passage) if answered else None, rng, _row(self.fact_rows[number], at))

    def _message(self, rng: random.Random, in_use: bool) -> tuple[Message, int]:
        """Return a message, as in use mostly a new one, and the row of its meaning."""
        new = in_use and self.met_messages < len(self.messages) and rng.random() < NEW_SHARE
        number = rng.randrange(self.met_messages, len(self.messages)) if new else rng.randrange(self.met_messages)
        return self.messages[number], _row(self.message_row, number)

    def _name_topic(self, rng: random.Random, most: int, in_use: bool) -> Example:
        """Name a message's topic, alone or beside an answer.

        Half the time there are passages, which do not matter; sometimes the message
        also asks a plain question, before or after, which does not matter either.
        """
        (mood, text, topic), row = self._message(rng, in_use)
        if rng.random() < 0.25:
            text, row = self._with_question(text, rng), NO_MEANING
        passages = self._any_passages(rng, most) if rng.random() < 0.5 else None
        example = self._reading(text, passages, None, rng, row)
        if rng.random() < 0.65:
            return _topic_beside(example, topic, rng)
        task = rng.choice(list(TOPIC_TASKS))
        return replace(example, system=task, answer=TOPIC_TASKS[task].format(topic, mood), task="mood")

    def _with_question(self, text: str, rng: random.Random) -> str:
        question = fill(rng.choice(rng.choice(self.companies).questions).text, {}, rng)
        parts = [text.rstrip(".! ") + ".", question if question.endswith("?") else question + "?"]
        return " ".join(parts if rng.random() < 0.6 else parts[::-1])

    def _complaint(self, rng: random.Random, most: int, in_use: bool) -> Example:
        """A message that no passage answers; the plain machine says so and nothing else."""
        (_, text, _), row = self._message(rng, in_use)
        if rng.random() < 0.3:
            return Example(as_typed(text, rng), UNKNOWN, "unknown", asked=row)
        return self._reading(text, self._any_passages(rng, most), None, rng, row)

    def _any_passages(self, rng: random.Random, most: int) -> list[Shown]:
        company = rng.choice(self.companies)
        values: dict[str, str] = {}
        return [Shown(s.heading or s.title, fill(s.text, values, rng), s.meaning) for s in rng.sample(company.sentences, rng.randint(1, most))]

    def _replace_words(self, asked: str, passages: list[Shown], gold: int, rng: random.Random) -> tuple[str, list[Shown]]:
        """Swap up to two words everywhere, so that sentences cannot be learned by heart."""
        content = [w for w in CONTENT_WORD.findall(passages[gold].text) if w.islower()]
        shared = [w for w in content if re.search(rf"\b{w}\b", asked)]
        for word in rng.sample(shared or content, min(len(shared or content), rng.randint(1, 2))):
            pattern, other = re.compile(rf"\b{word}\b", re.IGNORECASE), self._other_word(rng)
            asked = pattern.sub(other, asked)
            passages = [Shown(pattern.sub(other, p.title), pattern.sub(other, p.text)) for p in passages]
        return asked, passages

    def _other_word(self, rng: random.Random) -> str:
        """Return a word of the prose, or one in four times a word that nobody has seen."""
        word = rng.choice(self.vocabulary)
        return splice(word, rng.choice(self.vocabulary), rng) if rng.random() < 0.25 else word


def _topic_beside(example: Example, topic: str, rng: random.Random) -> Example:
    """Put the topic on a line of its own, above the answer or below it."""
    if example.gold or rng.random() < 0.5:
        return replace(example, system=rng.choice(LAST_LINE_TASKS), answer=f"{example.answer}\ntopic: {topic}", task="topic")
    return replace(example, system=rng.choice(FIRST_LINE_TASKS), answer=f"topic: {topic}\n{example.answer}", task="topic")


def _foreign(companies: list[Company], first_fact: int, meanings: Meanings) -> list[Question]:
    """Return the companies' questions that no fact of the first edition answers too ("How long is the warranty?" is not one)."""
    facts = meanings.rows(first_fact, meanings.size)
    return [q for c in companies for q in c.questions if (facts @ meanings.rows(q.meaning, q.meaning + 1)[0]).max() < SAME_QUESTION]


def _row(first: int, number: int) -> int:
    """Return the row of the meaning of text ``number`` in a list whose meanings begin at ``first``."""
    return NO_MEANING if first == NO_MEANING else first + number


def _keywords(text: str, rng: random.Random) -> str:
    """Ask for a sentence by two to four of its words; empty if it has too few."""
    content = list(dict.fromkeys(word for word in CONTENT_WORD.findall(text)))
    if len(content) < 2:
        return ""
    chosen = rng.sample(content, min(len(content), rng.randint(2, 4)))
    if rng.random() < 0.5:
        chosen.sort(key=content.index)
    return rng.choice(KEYWORD_FRAMES).format(rng.choice((" ", " and ", ", ")).join(chosen).lower())


def choose_passages(question: Question, rng: random.Random, most: int, missing: float) -> list[int]:
    """Return up to ``most`` sentence numbers as a retriever would bring them.

    Nearly always in the retriever's own order, so that the reader learns how far
    it can be trusted. Where the answer was missed it is mostly put in, for the
    reader to find it there. In a share of ``missing`` it is taken out: what remains
    looks as if it answered, and does not.
    """
    chosen = list(question.ranking[:most])
    gold = question.answer
    if gold is not None:
        if rng.random() < missing:
            chosen = [i for i in question.ranking if i != gold][:most]
        elif gold not in chosen and rng.random() < 0.98 - 4 * missing:
            chosen[rng.randrange(most)] = gold
    if rng.random() < 0.04:
        rng.shuffle(chosen)
    return chosen


def as_reranked(question: Question, rng: random.Random, missing: float = 0.0) -> tuple[list[int], bool]:
    """Return up to two sentence numbers as the search shows them, after the reranker and the least score, and whether it is sure of them.

    Where the search was asked (``question.found``), they are what it brought. Otherwise how many, where the answer
    stands among them and how sure the search is, is drawn from what was measured on the held-out companies
    (1,224 questions, with and without their answer), by where the embedder alone puts the answer. In a share
    ``missing`` the answer is taken out. The search misses less in use, so only a share ``MISSES_KEPT`` may lack it
    otherwise, and none where the search was sure: the reader shall trust a search that is sure.
    """
    others = [number for number in question.ranking if number != question.answer]
    taken_out = question.answer is not None and rng.random() < missing
    if question.found and not taken_out:
        numbers, sure = question.found
        if question.answer in (None, *numbers) or (not sure and rng.random() < MISSES_KEPT):
            return list(numbers), sure and question.answer in numbers
    if question.answer is None or taken_out:
        placings = SHOWN_AFTER_RERANKING["missing"]
    else:
        rank = question.ranking.index(question.answer) if question.answer in question.ranking else None
        placings = SHOWN_AFTER_RERANKING["nowhere" if rank is None else ("first", "second", "lower")[min(rank, 2)]]
        if question.found or rng.random() > MISSES_KEPT:
            placings = {placing: weight for placing, weight in placings.items() if placing[1]} or {(1, 1, False): 1.0}
    count, place, sure = rng.choices(list(placings), list(placings.values()))[0]
    if not place:
        return others[:count], sure
    return [*others[: place - 1], question.answer, *others[place - 1 : count - 1]], sure


def beside_tempting(company: Company, near: NearMiss, rng: random.Random) -> list[int]:
    """Return the numbers of one or two sentences as a search shows them for a near miss: what it brought, or the one that tempts and one that the retriever brings beside it."""
    if near.found and near.found.numbers:
        return list(near.found.numbers)
    beside = [n for q in company.questions if q.answer == near.tempting for n in q.ranking if n != near.tempting]
    chosen = [near.tempting, *beside[:1]] if rng.random() < TEMPTING_FIRST else [*beside[:1], near.tempting]
    return [near.tempting] if rng.random() < TEMPTING_ALONE else chosen


def draw_sure(place: int | None, rng: random.Random) -> bool:
    """Draw whether a search is sure that brings the answer at ``place``, from 0 on; None if it does not."""
    return rng.random() < SURE_SHARE["missing" if place is None else "later" if place else "first"]


def as_typed(text: str, rng: random.Random) -> str:
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
    """Return another value: other digits, another menu path, or a word of any kind; what a passage states counts, however unlikely."""
    changed = re.sub(r"\d", lambda _: str(rng.randint(1, 9)), value)
    if changed != value:
        return changed
    if ">" in value:
        return draw("menu", rng)
    return fill(rng.choice(("{n} days", "{money}", "{name}", "{colour}", "{time}", "the {thing}", "{place}", "{email}", "{dur}")), {}, rng)


def all_wordings() -> list[Fact]:
    """Return the facts with all wordings of their questions: those beside the facts, and those written for the training."""
    more = {row["id"]: tuple(row["questions"]) for path in sorted((PRETRAINING / "fact_questions").glob("*.jsonl")) for row in read_lines(path)}
    return [replace(fact, questions=fact.questions + more.get(fact.id, ())) for fact in load_facts().values()]


def _messages(folder: Path) -> list[Message]:
    """Read (mood, text, topic) from ``mood | text`` lines; the file's name or a third field is the topic."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        if path.stem != "replies_style":
            for line in path.read_text(encoding="utf-8").splitlines():
                parts = [part.strip() for part in line.split("|")]
                if len(parts) >= 2:
                    topic = parts[2] if len(parts) > 2 else path.stem
                    found.append((parts[0], parts[1], topic.replace("_", " ")))
    return found


def _styles(path: Path) -> list[tuple[str, str, str]]:
    rows = [line.split("|") for line in path.read_text(encoding="utf-8").splitlines() if line.count("|") == 2]
    return [tuple(part.strip() for part in row) for row in rows]


def load(
    prose: list[str], meanings: Meanings, seed: int = 0, unanswered: Unanswered = Unanswered(), pace: int = 1, reranked: float = 0.0, near_misses: float = 0.0, met: int = 1
) -> tuple[Stream, Stream]:
    """Return the training stream, and the one of the held-out companies and messages (one in twelve, by name or text).

    The companies of the first ``met`` folders and the ``messages`` come from the beginning, the others as in use.
    """
    companies, new = companies_module.load_with_headings(met)
    companies_module.give_meanings([*companies, *new], meanings)
    met_by_search, unmet = ([c for c in (*companies, *new) if (c.folder == companies_module.READER_FOLDER.name) is unmet] for unmet in (False, True))
    retrieval.rank(met_by_search)
    searching.search(unmet)
    searching.leave_out_doubtful(unmet)
    shared, apart = ([c for c in companies if is_held_out(c.name) is held_out] for held_out in (False, True))
    new = [c for c in new if not is_held_out(c.name)]
    folders = [_messages(folder) for folder in MESSAGES]
    known, later = ([m for m in messages if not is_held_out(m[1])] for messages in folders)
    unknown = [m for messages in folders for m in messages if is_held_out(m[1])]
    return Stream(shared, prose, seed, meanings, known, unanswered, new, pace, reranked, near_misses, later), Stream(apart, prose, seed + 1, meanings, unknown, unanswered)
