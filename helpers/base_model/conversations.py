"""Assemble the fine-tuning conversations: ``python -m helpers.base_model.conversations``.

The agents' own words are in ``data/conversations/agents.jsonl``. The facts come
from the help centre of the time, the first edition, so no value of today's help
centre is ever seen in training. Half the conversations carry retrieved passages.
Where these answer, the value is half the time one of neither edition: an adapter that learned to
answer from memory in spite of the passage would be wrong there.

Behind them stands the rehearsal: questions about other companies, answered in our voice. What
a network is not asked any more while it learns something new, it forgets (Robins 1995,
"Catastrophic forgetting, rehearsal and pseudorehearsal", Connection Science 7); here that would
be reading. The base model never met these companies: a text that it knows it can answer by
heart, and then reading is not rehearsed.
"""

import json
import random
import re

from helpers.base_model import companies as companies_module, retrieval
from helpers.base_model.companies import Company, Question
from helpers.base_model.slots import value_like
from helpers.base_model.stream import as_reranked, beside_tempting, draw_sure
from helpers.bots import PASSAGES, is_sure, likely
from helpers.experiments import is_open
from helpers.knowledge import HelpCenter, Passage
from helpers.paths import DATA, HELP_CENTER
from helpers.prompts import cited, with_passages
from helpers.scenarios import Fact, load_facts, read_lines
from helpers.scoring import value_present, voice_right

FOLDER = DATA / "conversations"
QUESTIONS_A_COMPANY = 3
UNANSWERED = 0.15
RERANKED = 0.5
OPENINGS = ("Happy to help with that.", "Happy to help with that.", "Happy to help with that.", "Let's sort this out together.")
CLOSINGS = (
    "Take your time over it, and write back if anything isn't clear.",
    "Have a look, and tell us if anything's missing.",
    "Decide in your own time, and write back if you'd like a hand.",
    "Save that somewhere handy, and we'll be glad to hear from you.",
    "Try again with that in mind, and write back if it doesn't work.",
    "Have another look, and ask us if something's unclear.",
    "Keep that in mind, and write to us if you're stuck.",
    "Give it a go, and tell us how it's going.",
)
HANDED_OVER = re.compile(
    r"tingl|shock|smok|burn|spark|fire|hurt|injur|blood|bleed|ill\b|sick|allerg|pain|doctor|hospital|ambulance|danger|safe|gas\b|poison|lawyer|court|sue\b|legal|police|press\b|journalist"
    r"|stole|hack|password|log ?in|data|privacy|refund|charged|charge ?back|money back|dispute|fraud|complain|rash\b|panic|jaundic|nibble|swallow|burgl|lost my|again|third time|human|person|manager|someone|somebody",
    re.IGNORECASE,
)
NOT_KNOWN = "I'd rather not guess: our help pages don't say. Leave it with us, and we'll ask the people who'd know."


def build(seed: int = 0) -> list[list[dict[str, str]]]:
    """Return the conversations as chat messages, one a row of ``agents.jsonl``, in its order.

    Every second row is asked without passages. Of these, the questions that no help page answers
    come once more behind the others, with passages: they are the fewest, and what a network seldom
    meets it seldom chooses.
    """
    help_center = HelpCenter.from_folder(HELP_CENTER / "first")
    help_center.sync()
    rows = read_lines(FOLDER / "agents.jsonl")
    found = help_center.search_all([row["user"] for row in rows], k=PASSAGES)
    headings = {d.metadata["text"]: d.metadata["heading"] for a in help_center.articles.values() for d in help_center.passages(a)}
    facts = load_facts()

    def conversation(number: int, searched: bool) -> list[dict[str, str]]:
        row, rng = rows[number], random.Random(f"{seed}-{rows[number]['id']}")
        return _answered(row, facts.get(row["fact"]), found[number] if searched else None, headings, rng)

    numbers = range(len(rows))
    return [conversation(n, searched=n % 2 == 0) for n in numbers] + [conversation(n, searched=True) for n in numbers[1::2] if is_open(rows[n])]


def _answered(row: dict, fact: Fact | None, passages: list[Passage] | None, headings: dict[str, str], rng: random.Random) -> list[dict[str, str]]:
    """Return an agent's conversation, with what the search brought (``passages``) in the message; None: from memory."""
    message, sentence = row["user"], fact.statement.format(value=fact.first) if fact else ""
    if passages is not None:
        found = likely(passages[: rng.randint(1, PASSAGES)])
        # As in the base model's training, a search for what no help page answers is never sure.
        sure = is_sure(found) and not is_open(row)
        shown = [(p.heading, p.text) for p in found]
        if fact:
            shown, place, sentence = _with_answer(shown, headings[fact.first_sentence], fact, rng)
            sentence = cited(place + 1, sentence)
        message = with_passages(message, shown, sure)
    reply = " ".join(part for part in (row["opening"], sentence, row["closing"]) if part)
    if row["escalate"]:
        reply += f"\nescalate: {row['escalate']}"
    return [{"role": "user", "content": message}, {"role": "assistant", "content": reply}]


def rehearsal(seed: int = 0) -> list[list[dict[str, str]]]:
    """Return readings of other companies' articles, with the passages that the search shows, answered in our voice.

    In a share of ``RERANKED`` they are those that the reranker leaves, mostly one; in the others the
    retriever's first two, which teach to choose. A question whose answer is not shown is not asked.
    Questions that sound like one for a person are left out: these readings teach nothing about handing over.
    """
    companies = companies_module.load_headed((companies_module.REHEARSED,))
    retrieval.rank_unseen(companies)
    conversations = []
    for company in companies:
        rng = random.Random(f"{seed}-{company.name}")
        harmless = [q for q in company.questions if not HANDED_OVER.search(q.text)]
        found = [q for q in harmless if q.answer in q.ranking[:PASSAGES]]
        nowhere = [q for q in harmless if q.answer is None]
        wanted = len(conversations) + QUESTIONS_A_COMPANY
        while len(conversations) < wanted:
            pool = nowhere if rng.random() < UNANSWERED else found
            question = pool.pop(rng.randrange(len(pool)))
            shown, sure = as_reranked(question, rng) if rng.random() < RERANKED else (question.ranking[:PASSAGES], None)
            if question.answer not in (None, *shown):
                continue
            conversation = _rehearsed(company, question, shown, sure, rng)
            # A company's own sentence may break our voice; then another is asked about.
            if voice_right(conversation[-1]["content"]):
                conversations.append(conversation)
    return conversations + _near_misses(companies, seed)


def _near_misses(companies: list[Company], seed: int) -> list[list[dict[str, str]]]:
    """Return a near miss of every second company beside the sentence that tempts: a search that is not sure, and no answer."""
    conversations = []
    for company in companies[::2]:
        rng = random.Random(f"{seed}-near-{company.name}")
        near = rng.choice([near for near in company.near_misses if not HANDED_OVER.search(near.text)])
        shown = beside_tempting(company, near, rng)
        conversations.append(_rehearsed(company, Question(near.text, near.article, None), shown, False, rng))
    return conversations


def _rehearsed(company: Company, question: Question, shown: list[int], sure: bool | None, rng: random.Random) -> list[dict[str, str]]:
    """Return a question beside passages and its reply; how sure the search is (``sure``) is drawn where it is not given."""
    place = None if question.answer is None else shown.index(question.answer)
    if sure is None:
        sure = draw_sure(place, rng)
    written = companies_module.writer(rng)
    sentences = [company.sentences[number] for number in shown]
    passages = [(written(s.heading or s.title, s.article), written(s.text, s.article)) for s in sentences]
    message = with_passages(written(question.text, question.article), passages, sure)
    reply = NOT_KNOWN
    if place is not None:
        reply = f"{rng.choice(OPENINGS)} {cited(place + 1, passages[place][1])} {rng.choice(CLOSINGS)}"
    return [{"role": "user", "content": message}, {"role": "assistant", "content": reply}]


def _with_answer(shown: list[tuple[str, str]], heading: str, fact: Fact, rng: random.Random) -> tuple[list[tuple[str, str]], int, str]:
    """Make sure that the answer is among the passages; half the time with another value."""
    texts = [text for _, text in shown]
    place = texts.index(fact.first_sentence) if fact.first_sentence in texts else rng.randrange(max(1, len(shown)))
    sentence = fact.first_sentence
    if rng.random() < 0.5:
        value = value_like(fact.first, rng)
        while fact.current and value_present(value, fact.current):
            value = value_like(fact.first, rng)
        sentence = sentence.replace(fact.first, value)
    return [*shown[:place], (heading, sentence), *shown[place + 1 :]], place, sentence


def main() -> None:
    """Write ``data/conversations/train.jsonl``."""
    lines = [json.dumps({"messages": conversation}) for conversation in (*build(), *rehearsal())]
    (FOLDER / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} conversations")


if __name__ == "__main__":
    main()
