"""Claims about behaviour: a format learned from examples, and routing against simple baselines."""

import json
import random
from collections.abc import Sequence

import jsonschema
import numpy as np
from scipy.stats import bootstrap
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from helpers.bots import ESCALATION, SupportBot
from helpers.claims.outcome import Outcome, Report
from helpers.models import load_embedder
from helpers.paths import DATA
from helpers.scenarios import load_tickets, read_lines
from helpers.scoreboard import SEEDS
from helpers.scoring import Estimate
from helpers.tuning import Conversation, LoraSettings, kept_adapter
from helpers.verdicts import QUEUES

NO_QUEUE = "none"
WORDS_QUOTED = 4
RECORD = {
    "type": "object",
    "properties": {"queue": {"enum": list(QUEUES)}, "words": {"type": "string"}, "urgent": {"type": "boolean"}},
    "required": ["queue", "words", "urgent"],
    "additionalProperties": False,
}
FORMAT_PROMPT = (
    "Answer with one line of JSON and nothing else. It has three fields: queue, one of safety, privacy, legal, payments, specialist, person; "
    'words, the first four words of the message; urgent, true for safety and privacy. For example: {"queue": "legal", "words": "My lawyer will write", "urgent": false}'
)
LABELS = (10, 30, 100, 300)
ROUTING_EXAMPLES = 1_920
RESAMPLES = 1000


def handing_off(report: Report) -> Outcome:
    """Measure a JSON record for tickets that need a person: does it parse, and are its fields right?"""
    outcome = Outcome()
    tickets = [t for t in load_tickets("behaviour") if t.escalate]
    conversations = [_as_record(row["user"], row["escalate"]) for row in _labelled() if row["escalate"]]
    report(f"training on {len(conversations)} records ...")
    adapter = kept_adapter("records", conversations, LoraSettings())
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for name, bot in (("prompt", SupportBot(system_prompt=FORMAT_PROMPT)), ("LoRA", SupportBot(adapter=adapter))):
        report(f"{name} ...")
        table: dict[str, dict[str, float]] = {"valid": {}, "queue": {}, "words": {}, "urgent": {}, "whole record": {}}
        for ticket, reply in zip(tickets, bot.ask_all([t.text for t in tickets]), strict=True):
            record, truth = parsed(reply.text), record_of(ticket.text, ticket.escalate)
            table["valid"][ticket.id] = float(record is not None)
            for field in truth:
                table[field][ticket.id] = float(record is not None and record[field] == truth[field])
            table["whole record"][ticket.id] = float(record == truth)
        for field, scored in table.items():
            outcome.measure(f"{field}, {name}", scored)
        tables[name] = table
    for field in ("valid", "queue", "whole record"):
        outcome.compare(f"{field}, LoRA minus prompt", tables["LoRA"][field], tables["prompt"][field])
    outcome.counts["records to learn from"] = float(len(conversations))
    return outcome


def record_of(text: str, queue: str) -> dict:
    """Return the hand-off record that a ticket should get."""
    return {"queue": queue, "words": " ".join(text.split()[:WORDS_QUOTED]), "urgent": queue in ("safety", "privacy")}


def parsed(text: str) -> dict | None:
    """Return the record that a reply consists of; None if it is not JSON or not as the schema says."""
    try:
        record = json.loads(text)
        jsonschema.validate(record, RECORD)
    except (ValueError, jsonschema.ValidationError):
        return None
    return record


def _as_record(text: str, queue: str) -> Conversation:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": json.dumps(record_of(text, queue))}]


def routing(report: Report) -> Outcome:
    """Measure macro-F1 of naming the queue (or none) with 10 to 300 labels: LoRA, nearest neighbours, logistic regression."""
    outcome = Outcome(seeds=SEEDS)
    tickets = load_tickets("behaviour")
    truth = [t.escalate or NO_QUEUE for t in tickets]
    embed = load_embedder().embed_documents
    asked = np.array(embed([t.text for t in tickets]))
    rows = _labelled()
    vectors = dict(zip((row["id"] for row in rows), embed([row["user"] for row in rows]), strict=True))
    for count in LABELS:
        report(f"{count} labels ...")
        named: dict[str, list[list[str]]] = {"LoRA": [], "nearest neighbours": [], "logistic regression": [], "shuffled labels": []}
        for seed in SEEDS:
            chosen = sample(rows, count, seed)
            known, labels = np.array([vectors[row["id"]] for row in chosen]), [row["escalate"] or NO_QUEUE for row in chosen]
            shuffled = random.Random(seed).sample(labels, len(labels))
            named["nearest neighbours"].append(list(KNeighborsClassifier(min(3, count), metric="cosine").fit(known, labels).predict(asked)))
            named["logistic regression"].append(list(LogisticRegression(C=10, max_iter=1000).fit(known, labels).predict(asked)))
            named["shuffled labels"].append(list(LogisticRegression(C=10, max_iter=1000).fit(known, shuffled).predict(asked)))
            named["LoRA"].append(_named_by_adapter(chosen, [t.text for t in tickets], seed))
        for name, answers in named.items():
            outcome.measures[f"macro-F1, {name}, {count} labels"] = macro_f1(truth, answers)
        if count == LABELS[-1]:
            for name in ("LoRA", "nearest neighbours"):
                right = {who: {t.id: float(np.mean([a[i] == truth[i] for a in named[who]])) for i, t in enumerate(tickets)} for who in (name, "logistic regression")}
                outcome.compare(f"right queue, logistic regression minus {name}", right["logistic regression"], right[name])
    return outcome


def sample(rows: Sequence[dict], count: int, seed: int) -> list[dict]:
    """Return ``count`` labelled messages, each class as often as the others as far as there are enough."""
    rng = random.Random(seed)
    groups = {name: rng.sample(found, len(found)) for name in (*QUEUES, NO_QUEUE) if (found := [row for row in rows if (row["escalate"] or NO_QUEUE) == name])}
    chosen: list[dict] = []
    while len(chosen) < count and any(groups.values()):
        for found in groups.values():
            if found and len(chosen) < count:
                chosen.append(found.pop())
    return chosen


def macro_f1(truth: Sequence[str], answers: Sequence[Sequence[str]]) -> Estimate:
    """Return the mean macro-F1 over the seeds in ``answers``, with a 95 % bootstrap interval over tickets (Efron 1979)."""
    names = sorted(set(truth))
    right = np.array([names.index(name) for name in truth])
    given = np.array([[names.index(name) if name in names else len(names) for name in answer] for answer in answers])

    def score(at: np.ndarray) -> float:
        return float(np.mean([_macro_f1(right[at], row[at], len(names)) for row in given]))

    everything = np.arange(len(truth))
    interval = bootstrap((everything,), score, vectorized=False, n_resamples=RESAMPLES, method="percentile", random_state=0).confidence_interval
    return Estimate(score(everything), float(interval.low), float(interval.high), len(truth))


def _macro_f1(right: np.ndarray, given: np.ndarray, classes: int) -> float:
    """Return the mean F1 of ``classes`` classes, 0 for one without a case; scikit-learn's ``f1_score`` takes a hundred times as long a resample."""
    table = np.bincount(right * (classes + 1) + given, minlength=classes * (classes + 1)).reshape(classes, classes + 1)
    return float(np.mean(2 * np.diagonal(table) / np.maximum(table.sum(1) + table[:, :classes].sum(0), 1)))


def _named_by_adapter(chosen: Sequence[dict], texts: Sequence[str], seed: int) -> list[str]:
    conversations = [[{"role": "user", "content": row["user"]}, {"role": "assistant", "content": f"escalate: {row['escalate'] or NO_QUEUE}"}] for row in chosen]
    passes = max(1, round(ROUTING_EXAMPLES / len(chosen)))
    adapter = kept_adapter(f"routing-{len(chosen)}", conversations, LoraSettings(epochs=min(passes, 40), seed=seed))
    found = [ESCALATION.search(reply.text) for reply in SupportBot(adapter=adapter).ask_all(list(texts))]
    return [match.group(1) if match else "" for match in found]


def _labelled() -> list[dict]:
    return read_lines(DATA / "conversations" / "agents.jsonl")
