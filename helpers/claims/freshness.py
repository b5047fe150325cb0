"""Claims about knowledge that changes: an index follows at once, weights do not, and teaching them facts has a price."""

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import torch

from helpers.base_model.slots import value_like
from helpers.base_model.stream import all_wordings
from helpers.bots import SupportBot
from helpers.claims.outcome import Outcome, Report, fresh_copy
from helpers.experiments import changed_again, changed_facts, fact_conversations, in_training_words, next_help_center, tickets_about
from helpers.knowledge import HelpCenter
from helpers.models import load_model
from helpers.paths import HELP_CENTER, workspace
from helpers.scenarios import Fact, current_help_center, load_tickets
from helpers.scoreboard import answered
from helpers.scoring import fact_right, value_present
from helpers.tuning import LoraSettings, kept_adapter

PARAPHRASES = (1, 4, 16)
# As many steps each, so that more wordings are not also more training: passes over the facts by number of wordings.
PASSES = {1: 48, 4: 12, 16: 3}
MOMENTS = {"after one pass": 1, "after three passes": 3}


def syncing(report: Report) -> Outcome:
    """Measure old values in RAG's answers before and after a sync, over two changes of edition; the weights stay."""
    outcome = Outcome()
    help_center = HelpCenter.from_folder(fresh_copy(HELP_CENTER / "first", "editions"))
    help_center.sync()
    bot, facts = SupportBot(help_center=help_center), changed_facts()
    later = next_facts(facts)
    weights = weights_hash()
    for step, facts_now, articles in (("today's edition", facts, HELP_CENTER / "current"), ("the next edition", later, _next_edition(later).folder)):
        report(f"{step} ...")
        tickets = tickets_about(facts_now)
        before = answered(bot, tickets)
        fresh_copy(articles, "editions")
        outcome.counts[f"seconds to sync, {step}"] = round(help_center.sync().seconds, 2)
        after = answered(bot, tickets)
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
        taught[count] = answered(bot, tickets)["facts_current"]
        stale[count] = answered(bot, tickets_about(later))["facts_stale"]
        recited = in_training_words(facts)
        outcome.measure(f"facts in a taught wording, {count} wordings", [float(fact_right(t.facts[0], r.text)) for t, r in zip(recited, bot.ask_all([t.text for t in recited]), strict=True)])
        outcome.measure(f"facts in an unseen wording, {count} wordings", taught[count])
        outcome.measure(f"facts_stale after the next change, {count} wordings", stale[count])
    report("RAG ...")
    rag = answered(SupportBot(help_center=current_help_center()), tickets)["facts_current"]
    after = _next_edition(later)
    after.sync()
    rag_later = answered(SupportBot(help_center=after), tickets_about(later))["facts_stale"]
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
    new, known = changed_facts(), [f for f in all_wordings() if f.status == "same"]
    size = min(len(new), len(known))
    most = max(PARAPHRASES)
    found = {"before": answered(SupportBot(), tickets)["abstention"]}
    for moment, passes in MOMENTS.items():
        report(f"new facts, {moment} ...")
        found[f"new facts, {moment}"] = answered(SupportBot(adapter=taught_adapter(new[:size], most, passes)), tickets)["abstention"]
    report("known facts ...")
    found["known facts, after three passes"] = answered(SupportBot(adapter=taught_adapter(known[:size], most, MOMENTS["after three passes"])), tickets)["abstention"]
    for name, table in found.items():
        outcome.measure(f"says that it does not know, {name}", table)
    outcome.compare("says that it does not know, new facts minus before", found["new facts, after three passes"], found["before"])
    outcome.compare("says that it does not know, known facts minus before", found["known facts, after three passes"], found["before"])
    outcome.compare("says that it does not know, new facts minus known facts", found["new facts, after three passes"], found["known facts, after three passes"])
    return outcome


def taught_adapter(facts: Sequence[Fact], paraphrases: int, passes: int) -> Path:
    """Return the folder of an adapter that was taught today's values of ``facts``, training it at first use."""
    worded = {fact.id: fact for fact in all_wordings()}
    conversations = fact_conversations([worded[fact.id] for fact in facts], paraphrases)
    return kept_adapter("taught", conversations, LoraSettings(epochs=passes))


def next_facts(facts: Sequence[Fact], seed: int = 0) -> list[Fact]:
    """Return ``facts`` as an invented next edition has them, each with a value that no edition ever had; of two in one sentence the first."""
    rng, changed = random.Random(seed), []
    for fact in {fact.current_sentence: fact for fact in reversed(facts)}.values():
        value = value_like(fact.current, rng)
        while any(old and value_present(old, value) for old in (fact.current, fact.first)):
            value = value_like(fact.current, rng)
        changed.append(changed_again(fact, value))
    return changed


def weights_hash() -> str:
    """Return a checksum of the base model's weights in memory."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_model().state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _next_edition(facts: Sequence[Fact]) -> HelpCenter:
    return next_help_center(facts, workspace() / "claims" / "next")
