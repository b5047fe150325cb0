"""Claims about knowledge that changes: an index follows at once, weights do not, and teaching them facts has a price."""

import hashlib
import random
import shutil
from collections.abc import Callable, Sequence

import torch

from helpers.base_model.stream import all_wordings, other_value
from helpers.bots import SupportBot
from helpers.claims.outcome import Outcome
from helpers.experiments import changed_again, changed_facts, fact_conversations, in_training_words, next_help_center, tickets_about
from helpers.knowledge import HelpCenter
from helpers.models import load_model
from helpers.paths import HELP_CENTER, workspace
from helpers.scenarios import Fact, Ticket, load_tickets
from helpers.scoreboard import Scores
from helpers.scoring import abstains, fact_right, fact_stale, value_present
from helpers.tuning import LoraSettings, kept_adapter

Report = Callable[[str], None]

PARAPHRASES = (1, 4, 16)
# As many steps each, so that more wordings are not also more training: passes over the facts by number of wordings.
PASSES = {1: 48, 4: 12, 16: 3}
MOMENTS = {"after one pass": 1, "after three passes": 3}


def syncing(report: Report) -> Outcome:
    """Measure old values in RAG's answers before and after a sync, over two changes of edition; the weights stay."""
    outcome = Outcome()
    folder = workspace() / "claims" / "editions"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HELP_CENTER / "first", folder)
    help_center = HelpCenter.from_folder(folder)
    help_center.sync()
    bot, facts = SupportBot(help_center=help_center), changed_facts()
    weights = weights_hash()
    for step, facts_now in (("today's edition", facts), ("the next edition", next_facts(facts))):
        report(f"{step} ...")
        tickets = tickets_about(facts_now)
        before = _asked(bot, tickets)
        _replace_articles(folder, HELP_CENTER / "current" if step == "today's edition" else next_help_center(facts_now, workspace() / "claims" / "next").folder)
        outcome.counts[f"seconds to sync, {step}"] = round(help_center.sync().seconds, 2)
        after = _asked(bot, tickets)
        for moment, found in (("before the sync", before), ("after the sync", after)):
            outcome.measure(f"facts_stale, {step}, {moment}", found["facts_stale"])
            outcome.measure(f"facts_current, {step}, {moment}", found["facts_current"])
        outcome.compare(f"facts_stale, {step}, after minus before", after["facts_stale"], before["facts_stale"])
    outcome.counts["weights changed"] = float(weights != weights_hash())
    return outcome


def teaching_facts(report: Report) -> Outcome:
    """Measure facts that were fine-tuned into the weights, on wordings that the training did not hold, and after the facts change."""
    outcome, facts = Outcome(), changed_facts()
    tickets, later = tickets_about(facts), next_facts(facts)
    taught, stale = {}, {}
    for count in PARAPHRASES:
        report(f"{count} wordings a fact ...")
        bot = SupportBot(adapter=taught_adapter(facts, count, PASSES[count]))
        taught[count] = _asked(bot, tickets)["facts_current"]
        stale[count] = _asked(bot, tickets_about(later))["facts_stale"]
        recited = in_training_words(facts)
        outcome.measure(f"facts in a taught wording, {count} wordings", [float(fact_right(t.facts[0], r.text)) for t, r in zip(recited, bot.ask_all([t.text for t in recited]), strict=True)])
        outcome.measure(f"facts in an unseen wording, {count} wordings", taught[count])
        outcome.measure(f"facts_stale after the next change, {count} wordings", stale[count])
    report("RAG ...")
    help_center = HelpCenter.from_folder(HELP_CENTER / "current")
    help_center.sync()
    rag = _asked(SupportBot(help_center=help_center), tickets)["facts_current"]
    after = next_help_center(later, workspace() / "claims" / "next")
    after.sync()
    rag_later = _asked(SupportBot(help_center=after), tickets_about(later))["facts_stale"]
    outcome.measure("facts in an unseen wording, RAG", rag)
    outcome.measure("facts_stale after the next change, RAG", rag_later)
    most, least = max(PARAPHRASES), min(PARAPHRASES)
    outcome.compare(f"facts, RAG minus {most} wordings", rag, taught[most])
    outcome.compare(f"facts, {most} wordings minus {least}", taught[most], taught[least])
    outcome.compare(f"facts_stale, {most} wordings minus RAG", stale[most], rag_later)
    return outcome


def inventing(report: Report) -> Outcome:
    """Measure how often a bot without passages admits that it does not know, while it is taught new facts.

    As a control the same number of facts that it already knows is taught as well
    (Gekhman et al. 2024, arXiv 2405.05904).
    """
    outcome, tickets = Outcome(), load_tickets("unanswerable")
    new, known = changed_facts(), [f for f in all_facts() if f.status == "same"]
    size = min(len(new), len(known))
    most = max(PARAPHRASES)
    found = {"before": _abstaining(SupportBot(), tickets)}
    for moment, passes in MOMENTS.items():
        report(f"new facts, {moment} ...")
        found[f"new facts, {moment}"] = _abstaining(SupportBot(adapter=taught_adapter(new[:size], most, passes)), tickets)
    report("known facts ...")
    found["known facts, after three passes"] = _abstaining(SupportBot(adapter=taught_adapter(known[:size], most, MOMENTS["after three passes"])), tickets)
    for name, table in found.items():
        outcome.measure(f"says that it does not know, {name}", table)
    outcome.compare("says that it does not know, new facts minus before", found["new facts, after three passes"], found["before"])
    outcome.compare("says that it does not know, new facts minus known facts", found["new facts, after three passes"], found["known facts, after three passes"])
    return outcome


def all_facts() -> list[Fact]:
    """Return every fact with all wordings of its questions that are not held out."""
    return all_wordings()


def taught_adapter(facts: Sequence[Fact], paraphrases: int, passes: int):
    """Return the folder of an adapter that was taught today's values of ``facts``, training it at first use."""
    worded = {fact.id: fact for fact in all_facts()}
    conversations = fact_conversations([worded[fact.id] for fact in facts], paraphrases)
    return kept_adapter("taught", conversations, LoraSettings(epochs=passes))


def next_facts(facts: Sequence[Fact], seed: int = 0) -> list[Fact]:
    """Return ``facts`` as an invented next edition has them, each with a value that no edition ever had; of two in one sentence the first."""
    rng, changed = random.Random(seed), []
    for fact in {fact.current_sentence: fact for fact in reversed(facts)}.values():
        value = other_value(fact.current, rng)
        while any(old and value_present(old, value) for old in (fact.current, fact.first)):
            value = other_value(fact.current, rng)
        changed.append(changed_again(fact, value))
    return changed


def weights_hash() -> str:
    """Return a checksum of the base model's weights in memory."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_model().state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _asked(bot: SupportBot, tickets: Sequence[Ticket]) -> dict[str, Scores]:
    replies = bot.ask_all([t.text for t in tickets])
    return {
        "facts_current": {t.id: float(all(fact_right(f, r.text) for f in t.facts)) for t, r in zip(tickets, replies, strict=True)},
        "facts_stale": {t.id: float(any(fact_stale(f, r.text) for f in t.facts)) for t, r in zip(tickets, replies, strict=True)},
    }


def _abstaining(bot: SupportBot, tickets: Sequence[Ticket]) -> Scores:
    replies = bot.ask_all([t.text for t in tickets])
    return {t.id: float(abstains(r)) for t, r in zip(tickets, replies, strict=True)}


def _replace_articles(folder, source) -> None:
    for path in folder.glob("*.md"):
        path.unlink()
    for path in source.glob("*.md"):
        shutil.copy(path, folder / path.name)
