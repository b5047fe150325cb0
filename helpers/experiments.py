"""Small experiments that the notebooks share: measure a bot, make a training set, change a fact."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from helpers.bots import CITATION, ESCALATION, SupportBot
from helpers.knowledge import HelpCenter
from helpers.paths import HELP_CENTER, workspace
from helpers.scenarios import Fact, Ticket, load_facts, load_tickets, read_lines
from helpers.scoreboard import Scores, answered, estimates
from helpers.scoring import Estimate, difference, estimate, fact_right, mcnemar, value_present
from helpers.tuning import CONVERSATIONS, Conversation, LoraSettings, Progress, kept_adapter

BEFORE_QUESTION = "\n\n"


class ExperimentError(Exception):
    """An experiment that cannot be set up; the message says what to do."""


def evaluate(bot: SupportBot, tickets: Sequence[Ticket]) -> dict[str, Estimate]:
    """Let ``bot`` answer ``tickets`` and return each metric that applies, with its 95 % interval."""
    return {metric: found for metric, found in estimates(answered(bot, tickets)).items() if found.n}


def facts_right(bot: SupportBot, tickets: Sequence[Ticket]) -> Estimate:
    """Return the share of those ``tickets`` that ask for facts (changed or not) whose facts the bot gets right, with its 95 % interval.

    Raises:
        ExperimentError: no ticket asks for a fact.
    """
    tickets = [ticket for ticket in tickets if ticket.facts]
    if not tickets:
        raise ExperimentError("None of these tickets asks for a fact. Take some of load_tickets('facts').")
    replies = bot.ask_all([ticket.text for ticket in tickets])
    return estimate([float(all(fact_right(fact, reply.text) for fact in ticket.facts)) for reply, ticket in zip(replies, tickets, strict=True)])


def as_table(rows: dict[str, dict[str, Estimate]], metrics: Sequence[str]) -> str:
    """Return a plain-text table: one row a bot, one column a metric, mean with 95 % interval and n; a dash where none applies."""
    head = ["", *metrics]
    body = [[name, *(str(found[metric]) if metric in found else "-" for metric in metrics)] for name, found in rows.items()]
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *body])


# Training sets


def has_passages(conversation: Conversation) -> bool:
    """True if the customer's message carries retrieved passages."""
    return BEFORE_QUESTION in conversation[-2]["content"]


def hands_over(conversation: Conversation) -> bool:
    """True if the answer hands the customer over to a team."""
    return ESCALATION.search(conversation[-1]["content"]) is not None


def without_passages(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Return the same conversations as if nothing had been retrieved: no passages, no ``[n]``."""
    return [_stripped(conversation) for conversation in conversations]


def without_rehearsal(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Return the course's conversations with Fernhollow's own customers, which stand before the questions to other companies."""
    rows = read_lines(CONVERSATIONS.with_name("agents.jsonl"))
    asked_again = sum(is_open(row) for row in rows[1::2])
    return list(conversations[: len(rows) + asked_again])


def is_open(row: dict) -> bool:
    """True if an agent's row of ``agents.jsonl`` asks what no help page answers and no team takes over."""
    return not row["fact"] and not row["escalate"]


def _stripped(conversation: Conversation) -> Conversation:
    question, answer = conversation[-2], conversation[-1]
    question = {**question, "content": question["content"].rpartition(BEFORE_QUESTION)[2]}
    answer = {**answer, "content": re.sub(rf"{CITATION.pattern}\s*", "", answer["content"])}
    return [*conversation[:-2], question, answer]


def changed_facts() -> list[Fact]:
    """Return the facts whose value is another today than in the first edition."""
    return [fact for fact in load_facts().values() if fact.status == "changed"]


def fact_conversations(facts: Sequence[Fact], paraphrases: int) -> list[Conversation]:
    """Return conversations that teach today's values: each fact asked in ``paraphrases`` wordings, none of them a held-out ticket.

    Raises:
        ExperimentError: a fact has fewer wordings, or no value today.
    """
    for fact in facts:
        if fact.current is None or not 1 <= paraphrases <= len(fact.questions):
            raise ExperimentError(f"The fact {fact.id} has {len(fact.questions)} wordings and today's value is {fact.current}. Ask for fewer, or leave it out.")
    return [_question_and_answer(fact, question) for fact in facts for question in fact.questions[:paraphrases]]


def facts_adapter(progress: Progress | None = None) -> Path:
    """Return the folder of an adapter that was taught today's values in eight wordings a fact, training it at first use."""
    return kept_adapter("facts-8", fact_conversations(changed_facts(), 8), LoraSettings(epochs=2), progress)


def _question_and_answer(fact: Fact, question: str) -> Conversation:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": fact.statement.format(value=fact.current)}]


# The next edition


def changed_again(fact: Fact, value: str) -> Fact:
    """Return ``fact`` as the next edition has it: ``value`` is current, today's value is superseded.

    Raises:
        ExperimentError: today's edition has no such fact, or already has this value, however it is spelt; or there is no value.
    """
    if fact.current is None or fact.current_sentence is None:
        raise ExperimentError(f"The fact {fact.id} was withdrawn; choose one that stands in today's help centre.")
    if not value.strip():
        raise ExperimentError(f"The new value of the fact {fact.id} is empty; write one.")
    if value_present(fact.current, value):
        raise ExperimentError(f"The fact {fact.id} already has the value {value}; write another one.")
    sentence = fact.current_sentence.replace(fact.current, value)
    return replace(fact, status="changed", first=fact.current, first_sentence=fact.current_sentence, current=value, current_sentence=sentence)


def tickets_about(facts: Sequence[Fact]) -> list[Ticket]:
    """Return the held-out tickets that ask for ``facts`` and nothing else, to be scored against these ``facts``."""
    by_id = {fact.id: fact for fact in facts}
    return [
        replace(ticket, facts=tuple(by_id[fact.id] for fact in ticket.facts))
        for ticket in load_tickets("facts")
        if ticket.facts and all(fact.id in by_id for fact in ticket.facts)
    ]


def in_training_words(facts: Sequence[Fact]) -> list[Ticket]:
    """Return one ticket a fact in the first wording that ``fact_conversations`` teaches. Not held out: shows what a training recites."""
    return [Ticket(f"training-{fact.id}", fact.questions[0], (fact,), None, "question") for fact in facts]


def next_help_center(facts: Sequence[Fact], folder: Path | None = None) -> HelpCenter:
    """Write today's articles with ``facts`` changed into the learner's folder, and open them (not yet synced).

    Raises:
        ExperimentError: the sentence of a fact is not in its article.
    """
    folder = folder or workspace() / "next_edition"
    folder.mkdir(parents=True, exist_ok=True)
    for path in (HELP_CENTER / "current").glob("*.md"):
        shutil.copy(path, folder / path.name)
    for fact in facts:
        path = folder / f"{fact.article}.md"
        text = path.read_text(encoding="utf-8")
        if fact.first_sentence not in text:
            raise ExperimentError(f"{path.name} does not hold the sentence of {fact.id}: {fact.first_sentence}")
        path.write_text(text.replace(fact.first_sentence, fact.current_sentence), encoding="utf-8")
    return HelpCenter.from_folder(folder)


@dataclass(frozen=True)
class PairedTest:
    """Two bots on the same tickets: how many only the one resolves, how many only the other, and McNemar's p-value."""

    only_first: int
    only_second: int
    p: float

    def __str__(self) -> str:
        return f"only the first {self.only_first}, only the second {self.only_second}, p {'< 0.001' if self.p < 0.001 else f'= {self.p:.3f}'}"


def paired_test(first: Scores, second: Scores) -> PairedTest:
    """Compare two bots' yes-or-no scores ticket by ticket (exact McNemar test).

    Raises:
        ExperimentError: the two were not scored on the same tickets, or on none.
    """
    if not first:
        raise ExperimentError("No scores to compare. Let both bots answer some tickets first.")
    if first.keys() != second.keys():
        raise ExperimentError("The two bots answered different tickets. Score both on the same ones.")
    pairs = [(bool(first[i]), bool(second[i])) for i in first]
    return PairedTest(sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs), mcnemar(*zip(*pairs, strict=True)))


def paired_difference(first: Scores, second: Scores) -> Estimate:
    """Return the mean difference of two bots' scores on the tickets that both were scored on, with its 95 % interval."""
    shared = [i for i in first if i in second]
    if not shared:
        raise ExperimentError("The two bots share no scored ticket. Score both on the same ones.")
    return difference([first[i] for i in shared], [second[i] for i in shared])
