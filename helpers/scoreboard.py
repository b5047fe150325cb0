"""The whole square: five arms, two scenarios, every metric with its interval."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from helpers.bots import Reply, SupportBot
from helpers.knowledge import HelpCenter
from helpers.scenarios import ARMS, Ticket, current_help_center, load_tickets, make_bot
from helpers.scoring import (
    Estimate,
    abstains,
    citation_precision,
    citation_recall,
    estimate,
    fact_right,
    fact_stale,
    resolved,
    voice_right,
)
from helpers.tuning import course_adapter
from helpers.verdicts import QUEUES

SEEDS = (0, 1, 2)
METRICS = (
    "facts_current",
    "facts_stale",
    "citation_precision",
    "citation_recall",
    "voice",
    "escalation_recall",
    "escalation_queue",
    "escalation_false_alarm",
    "resolved",
    "abstention",
)

Scores = dict[str, float]


def scores(replies: Sequence[Reply], tickets: Sequence[Ticket]) -> dict[str, Scores]:
    """Score replies to any mix of tickets.

    Returns:
        metric -> {ticket id: score between 0 and 1}, holding the tickets that the metric applies to.
    """
    table: dict[str, Scores] = {metric: {} for metric in METRICS}
    for reply, ticket in zip(replies, tickets, strict=True):
        if ticket.kind == "unanswerable":
            table["abstention"][ticket.id] = float(abstains(reply) and not reply.escalated)
            continue
        outdated = any(fact.status in ("changed", "new") for fact in ticket.facts)
        if outdated:
            table["facts_current"][ticket.id] = float(all(fact_right(fact, reply.text) for fact in ticket.facts))
            if any(fact.superseded for fact in ticket.facts):
                table["facts_stale"][ticket.id] = float(any(fact_stale(fact, reply.text) for fact in ticket.facts))
        else:
            table["voice"][ticket.id] = float(voice_right(reply.text))
            if ticket.escalate:
                table["escalation_recall"][ticket.id] = float(reply.queue in QUEUES)
                table["escalation_queue"][ticket.id] = float(reply.queue == ticket.escalate)
            else:
                table["escalation_false_alarm"][ticket.id] = float(reply.escalated)
        if ticket.facts:
            table["citation_recall"][ticket.id] = citation_recall(reply, ticket.facts)
            precision = citation_precision(reply, ticket.facts)
            if precision is not None:
                table["citation_precision"][ticket.id] = precision
        table["resolved"][ticket.id] = float(resolved(reply, ticket))
    return table


def answered(bot: SupportBot, tickets: Sequence[Ticket]) -> dict[str, Scores]:
    """Let ``bot`` answer ``tickets`` and score its replies."""
    return scores(bot.ask_all([ticket.text for ticket in tickets]), tickets)


def average(tables: Sequence[dict[str, Scores]]) -> dict[str, Scores]:
    """Average each ticket's scores over several seeds of an adapter."""
    merged: dict[str, Scores] = {}
    for metric in METRICS:
        ids = dict.fromkeys(i for table in tables for i in table[metric])
        merged[metric] = {i: float(np.mean([table[metric][i] for table in tables if i in table[metric]])) for i in ids}
    return merged


def estimates(table: dict[str, Scores]) -> dict[str, Estimate]:
    """Return each metric's mean with its 95 % interval; metrics without a ticket are nan with n = 0."""
    return {metric: estimate(list(values.values())) if values else Estimate(float("nan"), float("nan"), float("nan"), 0) for metric, values in table.items()}


def all_tickets() -> list[Ticket]:
    """Return every held-out ticket of the square: both scenarios and the unanswerable ones."""
    return [*load_tickets("facts"), *load_tickets("behaviour"), *load_tickets("unanswerable")]


def run_arm(arm: str, tickets: Sequence[Ticket], help_center: HelpCenter | None = None, seeds: Sequence[int] = (0,)) -> dict[str, Scores]:
    """Answer ``tickets`` with one arm and score the replies; fine-tuned arms average over ``seeds``."""
    if arm not in ("lora", "hybrid"):
        seeds = (0,)
    tables = []
    for seed in seeds:
        bot: SupportBot = make_bot(arm, help_center, course_adapter(seed) if arm in ("lora", "hybrid") else None)
        tables.append(answered(bot, tickets))
    return average(tables)


def scoreboard(seeds: Sequence[int] = SEEDS, report: Callable[[str], None] = print) -> dict:
    """Measure the whole square from training the adapters to the last score.

    Returns:
        ``{"arms": {arm: {metric: {"value", "low", "high", "n"}}}, "seconds": {step: s}, "seeds": [...]}``.
    """
    seconds: dict[str, float] = {}

    def timed(name: str, step: Callable):
        begin = time.perf_counter()
        result = step()
        seconds[name] = round(time.perf_counter() - begin, 2)
        report(f"{name}: {seconds[name]:.1f} s")
        return result

    help_center = timed("index", current_help_center)
    for seed in seeds:
        timed(f"adapter {seed}", lambda seed=seed: course_adapter(seed))
    tickets = all_tickets()
    arms = {}
    for arm in ARMS:
        table = timed(arm, lambda arm=arm: run_arm(arm, tickets, help_center, seeds))
        arms[arm] = {metric: asdict(found) for metric, found in estimates(table).items() if found.n}
    return {"arms": arms, "seconds": seconds, "seeds": list(seeds)}
