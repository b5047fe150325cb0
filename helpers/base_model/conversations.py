"""Assemble the fine-tuning conversations: ``python -m helpers.base_model.conversations``.

The agents' own words are in ``data/conversations/agents.jsonl``. The facts come
from the help centre of the time, the first edition, so no value of today's help
centre is ever seen in training. Half the conversations carry retrieved passages.
In half of those the value is one of neither edition: an adapter that learned to
answer from memory in spite of the passage would be wrong there.
"""

import json
import random

from helpers.base_model.stream import other_value
from helpers.bots import PASSAGES
from helpers.knowledge import HelpCenter
from helpers.paths import DATA, HELP_CENTER
from helpers.prompts import cited, with_passages
from helpers.scenarios import Fact, load_facts, read_lines
from helpers.scoring import value_present

FOLDER = DATA / "conversations"


def build(seed: int = 0) -> list[list[dict[str, str]]]:
    """Return the conversations as chat messages."""
    facts = load_facts()
    help_center = HelpCenter.from_folder(HELP_CENTER / "first")
    help_center.sync()
    rows = read_lines(FOLDER / "agents.jsonl")
    found = help_center.search_all([row["user"] for row in rows], k=PASSAGES)
    headings = {d.metadata["text"]: d.metadata["heading"] for a in help_center.articles.values() for d in help_center.passages(a)}
    conversations = []
    for number, (row, passages) in enumerate(zip(rows, found, strict=True)):
        rng = random.Random(f"{seed}-{row['id']}")
        fact = facts[row["fact"]] if row["fact"] else None
        shown = [(p.heading, p.text) for p in passages[: rng.randint(1, PASSAGES)]]
        if number % 2:
            message, sentence = row["user"], fact.statement.format(value=fact.first) if fact else ""
        else:
            if fact:
                shown, place, sentence = _with_answer(shown, headings[fact.first_sentence], fact, rng)
                sentence = cited(place + 1, sentence)
            else:
                sentence = ""
            message = with_passages(row["user"], shown)
        reply = " ".join(part for part in (row["opening"], sentence, row["closing"]) if part)
        if row["escalate"]:
            reply += f"\nescalate: {row['escalate']}"
        conversations.append([{"role": "user", "content": message}, {"role": "assistant", "content": reply}])
    return conversations


def _with_answer(shown: list[tuple[str, str]], heading: str, fact: Fact, rng: random.Random) -> tuple[list[tuple[str, str]], int, str]:
    """Make sure that the answer is among the passages; half the time with another value."""
    texts = [text for _, text in shown]
    place = texts.index(fact.first_sentence) if fact.first_sentence in texts else rng.randrange(len(shown))
    sentence = fact.first_sentence
    if rng.random() < 0.5:
        value = other_value(fact.first, rng)
        while fact.current and value_present(value, fact.current):
            value = other_value(fact.first, rng)
        sentence = sentence.replace(fact.first, value)
    return [*shown[:place], (heading, sentence), *shown[place + 1 :]], place, sentence


def main() -> None:
    """Write ``data/conversations/train.jsonl``."""
    lines = [json.dumps({"messages": conversation}) for conversation in build()]
    (FOLDER / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} conversations")


if __name__ == "__main__":
    main()
