"""The two scenarios: facts, held-out tickets, and the five arms that are compared."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from helpers.paths import DATA, HELP_CENTER

ARMS = ("base", "prompt", "rag", "lora", "hybrid")
ARM_NAMES = {"base": "base bot", "prompt": "prompt only", "rag": "RAG", "lora": "fine-tuned", "hybrid": "hybrid"}
SCENARIOS = {"facts": "1: outdated answers", "behaviour": "2: right facts, wrong behaviour"}
TICKETS = DATA / "tickets"


@dataclass(frozen=True)
class Fact:
    """One atomic fact of the help centre in its two editions; None where an edition has none."""

    id: str
    article: str
    status: str
    first: str | None
    current: str | None
    first_sentence: str | None
    current_sentence: str | None
    statement: str
    questions: tuple[str, ...]

    @property
    def superseded(self) -> str | None:
        """The first edition's value, where today's is another."""
        return self.first if self.status == "changed" else None


@dataclass(frozen=True)
class Ticket:
    """A held-out customer message, the facts it asks for and the queue it belongs to."""

    id: str
    text: str
    facts: tuple[Fact, ...]
    escalate: str | None
    kind: str


def read_lines(path: Path) -> list[dict]:
    """Return the objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@cache
def load_facts() -> dict[str, Fact]:
    """Return all facts by id (``data/help_center/facts.jsonl``)."""
    rows = read_lines(HELP_CENTER / "facts.jsonl")
    return {row["id"]: Fact(**{**row, "questions": tuple(row["questions"])}) for row in rows}


@cache
def load_tickets(name: str) -> tuple[Ticket, ...]:
    """Return the held-out tickets ``facts``, ``behaviour`` or ``unanswerable``.

    Raises:
        FileNotFoundError: no such set.
    """
    facts = load_facts()
    return tuple(
        Ticket(row["id"], row["text"], tuple(facts[i] for i in row["facts"]), row["escalate"], row["kind"]) for row in read_lines(TICKETS / f"{name}.jsonl")
    )


def tickets_with_facts() -> list[Ticket]:
    """Return the held-out tickets of both scenarios that ask for a fact."""
    return [ticket for name in SCENARIOS for ticket in load_tickets(name) if ticket.facts]


def prompt_only() -> str:
    """Return the system prompt of the prompt-only arm (``data/system_prompt.md``)."""
    return (DATA / "system_prompt.md").read_text(encoding="utf-8").strip()


def make_bot(arm: str, help_center=None, adapter=True):
    """Return the bot of one arm.

    Args:
        help_center: a synced ``HelpCenter``; the current edition by default.
        adapter: a folder, or True for the course's own.

    Raises:
        KeyError: no such arm.
    """
    from helpers.bots import SupportBot

    if arm in ("rag", "hybrid") and help_center is None:
        help_center = current_help_center()
    return {
        "base": lambda: SupportBot(),
        "prompt": lambda: SupportBot(system_prompt=prompt_only()),
        "rag": lambda: SupportBot(help_center=help_center),
        "lora": lambda: SupportBot(adapter=adapter),
        "hybrid": lambda: SupportBot(help_center=help_center, adapter=adapter),
    }[arm]()


@cache
def current_help_center():
    """Return today's help centre, synced."""
    from helpers.knowledge import HelpCenter

    help_center = HelpCenter.from_folder(HELP_CENTER / "current")
    help_center.sync()
    return help_center
