"""Claims about the five arms: the square, the prompt, citations, and what the hybrid costs."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from helpers.bots import CITATION, PASSAGES, SupportBot
from helpers.claims.outcome import Outcome, Report, fresh_copy
from helpers.experiments import without_passages, without_rehearsal
from helpers.knowledge import HelpCenter
from helpers.paths import DATA, HELP_CENTER
from helpers.prompts import with_passages
from helpers.scenarios import ARMS, Ticket, current_help_center, load_tickets, make_bot, prompt_only, tickets_with_facts
from helpers.scoreboard import SEEDS, all_tickets, answered, run_arm, scores
from helpers.scoring import abstains, fact_right, value_present
from helpers.tuning import LoraSettings, kept_adapter, load_conversations

SHOWN = ("facts_current", "facts_stale", "voice", "escalation_recall", "resolved")
DISTRACTORS = (0, 1, 3, 7)
PASSAGE_COUNTS = (1, 2, 3, 5)
CHUNK_SIZES = (60, 400)


def square(report: Report) -> Outcome:
    """Measure five bots on both scenarios, the fine-tuned ones with three seeds."""
    outcome = Outcome(seeds=SEEDS)
    tables = {}
    for arm in ARMS:
        report(f"{arm} bot ...")
        tables[arm] = run_arm(arm, all_tickets(), seeds=SEEDS)
        for metric in SHOWN:
            outcome.measure(f"{metric}, {arm}", tables[arm][metric])
    for metric, first, second in (
        ("facts_current", "rag", "base"),
        ("facts_current", "lora", "base"),
        ("voice", "lora", "base"),
        ("voice", "rag", "base"),
        ("escalation_recall", "lora", "base"),
        ("escalation_recall", "rag", "base"),
        ("resolved", "hybrid", "rag"),
        ("resolved", "hybrid", "lora"),
    ):
        outcome.compare(f"{metric}, {first} minus {second}", tables[first][metric], tables[second][metric])
    return outcome


def prompting(report: Report) -> Outcome:
    """Measure what words in the prompt can do: rules as a system prompt, and voice and policy as articles in the index."""
    outcome, tickets = Outcome(), load_tickets("behaviour")
    help_center = HelpCenter.from_folder(_with_the_rules_as_articles())
    help_center.sync()
    bots = {
        "base": SupportBot(),
        "prompt": SupportBot(system_prompt=prompt_only()),
        "rules in the index": SupportBot(help_center=help_center),
        "prompt and rules in the index": SupportBot(system_prompt=prompt_only(), help_center=help_center),
        "fine-tuned": make_bot("lora"),
    }
    tables = {}
    for name, bot in bots.items():
        report(f"{name} ...")
        tables[name] = answered(bot, tickets)
        for metric in ("voice", "escalation_recall", "escalation_false_alarm"):
            outcome.measure(f"{metric}, {name}", tables[name][metric])
    for metric in ("voice", "escalation_recall"):
        outcome.compare(f"{metric}, fine-tuned minus prompt", tables["fine-tuned"][metric], tables["prompt"][metric])
        outcome.compare(f"{metric}, fine-tuned minus rules in the index", tables["fine-tuned"][metric], tables["rules in the index"][metric])
        outcome.compare(f"{metric}, prompt minus base", tables["prompt"][metric], tables["base"][metric])
    return outcome


def _with_the_rules_as_articles() -> Path:
    folder = fresh_copy(HELP_CENTER / "current", "rules")
    for name in ("voice.md", "escalation_policy.md"):
        shutil.copy(DATA / name, folder / name)
    return folder


def citing(report: Report) -> Outcome:
    """Measure whose citations hold, and what a bot without passages cites when it is asked to."""
    outcome = Outcome()
    tickets = tickets_with_facts()
    tables = {}
    for arm in ("rag", "hybrid", "lora"):
        report(f"{arm} bot ...")
        replies = make_bot(arm).ask_all([f"{t.text} Please name the article that says so." for t in tickets] if arm == "lora" else [t.text for t in tickets])
        tables[arm] = scores(replies, tickets)
        if arm == "lora":
            outcome.measure("answers and cites nothing, lora", [float(not abstains(r) and not r.citations) for r in replies])
            outcome.measure("writes a source mark without a source, lora", [float(CITATION.search(r.text) is not None) for r in replies])
        else:
            outcome.measure(f"citation_precision, {arm}", tables[arm]["citation_precision"])
        outcome.measure(f"citation_recall, {arm}", tables[arm]["citation_recall"])
    outcome.compare("citation_recall, rag minus lora", tables["rag"]["citation_recall"], tables["lora"]["citation_recall"])
    return outcome


def hybrid_price(report: Report) -> Outcome:
    """Measure what both tools together gain and cost: reading with an adapter, distractors, k and the size of a passage."""
    outcome, help_center = Outcome(), current_help_center()
    facts = load_tickets("facts")
    tables = {}
    for arm in ("rag", "lora", "hybrid"):
        report(f"{arm} bot ...")
        tables[arm] = run_arm(arm, all_tickets())
        outcome.measure(f"resolved, {arm}", tables[arm]["resolved"])
    outcome.compare("resolved, hybrid minus rag", tables["hybrid"]["resolved"], tables["rag"]["resolved"])
    outcome.compare("resolved, hybrid minus lora", tables["hybrid"]["resolved"], tables["lora"]["resolved"])
    report("adapters that never saw a passage, and that did not rehearse ...")
    blind = kept_adapter("blind", without_passages(load_conversations()), LoraSettings())
    unrehearsed = kept_adapter("unrehearsed", without_rehearsal(load_conversations()), LoraSettings())
    readers = {"rag": make_bot("rag"), "hybrid": make_bot("hybrid")}
    right = {name: tables[name]["facts_current"] for name in readers}
    right["blind hybrid"] = answered(SupportBot(help_center=help_center, adapter=blind), facts)["facts_current"]
    right["hybrid without rehearsal"] = answered(SupportBot(help_center=help_center, adapter=unrehearsed), facts)["facts_current"]
    for name, found in right.items():
        outcome.measure(f"facts, {name}", found)
    outcome.compare("facts, hybrid minus rag", right["hybrid"], right["rag"])
    outcome.compare("facts, blind hybrid minus hybrid", right["blind hybrid"], right["hybrid"])
    outcome.compare("facts, hybrid minus hybrid without rehearsal", right["hybrid"], right["hybrid without rehearsal"])
    for count in DISTRACTORS:
        report(f"{count} distractors ...")
        messages, among = _with_distractors(help_center, facts, count), {}
        for name, reader in readers.items():
            texts = reader.chain.batch([{"message": message} for message in messages])
            among[name] = {t.id: float(fact_right(t.facts[0], text)) for t, text in zip(facts, texts, strict=True)}
            outcome.measure(f"facts, {name}, {count} distractors", among[name])
        outcome.compare(f"facts, hybrid minus rag, {count} distractors", among["hybrid"], among["rag"])
    for k in PASSAGE_COUNTS:
        report(f"k = {k} ...")
        found = right["rag"] if k == PASSAGES else answered(SupportBot(help_center=help_center, k=k), facts)["facts_current"]
        outcome.measure(f"facts, rag, k = {k}", found)
    for size in CHUNK_SIZES:
        report(f"passages of at most {size} characters ...")
        cut = HelpCenter.from_folder(HELP_CENTER / "current", chunk_size=size)
        cut.sync()
        outcome.measure(f"facts, rag, passages of {size} characters", answered(SupportBot(help_center=cut), facts)["facts_current"])
    return outcome


def _with_distractors(help_center: HelpCenter, tickets: Sequence[Ticket], count: int, seed: int = 0) -> list[str]:
    """Return each ticket with the passage that answers it, in a random place among the ``count`` nearest that do not."""
    headings = {(a.name, d.metadata["text"]): d.metadata["heading"] for a in help_center.articles.values() for d in help_center.passages(a)}
    messages = []
    for ticket, found in zip(tickets, help_center.search_all([t.text for t in tickets], k=count + 3), strict=True):
        fact = ticket.facts[0]
        gold = (headings[fact.article, fact.current_sentence], fact.current_sentence)
        shown = [(p.heading, p.text) for p in found if not value_present(fact.current, p.text)][:count]
        shown.insert(random.Random(f"{seed}-{ticket.id}").randint(0, len(shown)), gold)
        messages.append(with_passages(ticket.text, shown, sure=False))
    return messages
