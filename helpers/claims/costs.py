"""Claims about cost: what an update takes, and what LoRA saves against full fine-tuning."""

import multiprocessing
import re
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil

from helpers.base_model.evaluate import first_edition_remembered
from helpers.bots import SupportBot
from helpers.claims.outcome import Outcome, Report, fresh_copy
from helpers.knowledge import HelpCenter
from helpers.models import ChatModel, llm_name, load_embedder, load_model, load_tokenizer, new_model
from helpers.paths import HELP_CENTER, workspace
from helpers.scenarios import current_help_center, load_tickets
from helpers.scoreboard import all_tickets, answered
from helpers.tuning import LoraSettings, full_fine_tune, load_conversations, train_adapter

CHANGED_ARTICLES = (1, 10, 0)
REPEATS = 3
FULL = LoraSettings(learning_rate=5e-4)
MEGABYTE = 1e6
ADAM_COPIES = 4
BYTES_A_NUMBER = 4


def updating(report: Report) -> Outcome:
    """Time a sync of one, ten and all articles against an adapter and a full fine-tune, in seconds and processor-seconds."""
    outcome = Outcome()
    for count in CHANGED_ARTICLES:
        name = f"{count or 'all'} article{'s' * (count != 1)}"
        report(f"{name} ...")
        walls, processors = zip(*(_timed_sync(count) for _ in range(REPEATS)), strict=True)
        outcome.measure(f"seconds to sync {name}", walls)
        outcome.measure(f"processor-seconds to sync {name}", processors)
    for name, train, settings in (("an adapter", train_adapter, LoraSettings()), ("all weights", full_fine_tune, FULL)):
        report(f"training {name} ...")
        spent = apart(_trained, train, settings)
        outcome.counts[f"seconds to train {name}"] = round(spent["seconds"], 1)
        outcome.counts[f"processor-seconds to train {name}"] = round(spent["processor"], 1)
    outcome.counts["adapter against one article"] = round(outcome.counts["seconds to train an adapter"] / outcome.measures["seconds to sync 1 article"].high, 1)
    outcome.counts["adapter against all articles"] = round(outcome.counts["seconds to train an adapter"] / outcome.measures["seconds to sync all articles"].high, 1)
    outcome.counts |= operations()
    return outcome


def operations() -> dict[str, float]:
    """Count what an update multiplies: 2 operations a parameter and token to embed, 6 to train (Kaplan et al. 2020, arXiv 2001.08361)."""
    embedder = load_embedder()._client
    passages = [p for a in current_help_center().articles.values() for p in current_help_center().passages(a)]
    tokens = sum(len(ids) for ids in embedder.tokenizer([p.page_content for p in passages])["input_ids"])
    tokenizer = load_tokenizer(llm_name())
    seen = sum(len(tokenizer.apply_chat_template(c, return_dict=True)["input_ids"]) for c in load_conversations())
    return {
        "parameters of the embedder": float(sum(p.numel() for p in embedder.parameters())),
        "parameters of the language model": float(sum(p.numel() for p in load_model().parameters())),
        "tokens in all articles": float(tokens),
        "articles": float(len(current_help_center().articles)),
        "tokens in one training": float(seen * LoraSettings().epochs),
    }


def lighter(report: Report) -> Outcome:
    """Compare LoRA with training all weights on the same conversations: size, memory, time, manners, and what is forgotten."""
    outcome = Outcome()
    tables, remembered = {}, {}
    for name, train, settings in (("LoRA", train_adapter, LoraSettings()), ("full", full_fine_tune, FULL)):
        report(f"training, {name} ...")
        spent = apart(_trained, train, settings)
        trained = spent["trained"]
        outcome.counts[f"trained parameters, {name}"] = float(trained)
        outcome.counts[f"seconds, {name}"] = round(spent["seconds"], 1)
        outcome.counts[f"peak memory in MB, {name}"] = round(spent["memory"] / MEGABYTE)
        outcome.counts[f"MB on disk, {name}"] = round(spent["bytes"] / MEGABYTE, 2)
        outcome.counts[f"MB for gradients and Adam, {name}"] = round((ADAM_COPIES - 1) * BYTES_A_NUMBER * trained / MEGABYTE, 1)
        bots = {True: _tuned(name, spent["folder"], current_help_center()), False: _tuned(name, spent["folder"], None)}
        report(f"measuring, {name} ...")
        tables[name] = answered(bots[True], all_tickets())
        for metric in ("facts_current", "voice", "escalation_recall", "resolved"):
            outcome.measure(f"{metric}, {name}", tables[name][metric])
        remembered[name] = first_edition_remembered(bots[False])
    remembered["before"] = first_edition_remembered(SupportBot())
    base = answered(SupportBot(help_center=current_help_center()), load_tickets("facts"))
    outcome.measure("facts_current, before", base["facts_current"])
    for name, table in remembered.items():
        outcome.measure(f"first edition remembered, {name}", table)
    outcome.compare("resolved, LoRA minus full", tables["LoRA"]["resolved"], tables["full"]["resolved"])
    for name in ("LoRA", "full"):
        outcome.compare(f"facts_current, {name} minus before", tables[name]["facts_current"], base["facts_current"])
        outcome.compare(f"first edition remembered, {name} minus before", remembered[name], remembered["before"])
    outcome.counts["trained parameters, LoRA share"] = round(outcome.counts["trained parameters, LoRA"] / outcome.counts["trained parameters, full"], 4)
    outcome.counts["MB on disk, LoRA share"] = round(outcome.counts["MB on disk, LoRA"] / outcome.counts["MB on disk, full"], 4)
    outcome.counts["MB for gradients and Adam, LoRA share"] = round(outcome.counts["MB for gradients and Adam, LoRA"] / outcome.counts["MB for gradients and Adam, full"], 4)
    return outcome


def apart(work: Callable[..., dict], *arguments: object) -> dict:
    """Run ``work`` in a fresh process, so that its peak memory and processor time are its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _trained(train: Callable, settings: LoraSettings) -> dict:
    folder = workspace() / "claims" / train.__name__
    shutil.rmtree(folder, ignore_errors=True)
    begin = time.process_time()
    report = train(load_conversations(), folder, settings)
    processor = time.process_time() - begin
    return {"folder": folder, "seconds": report.seconds, "processor": processor, "memory": _peak_memory(), "trained": report.trained_parameters, "bytes": report.bytes}


def _peak_memory() -> int:
    """Return the most memory that this process has held so far, in bytes."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where ru_maxrss begins with what the parent held
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    import resource  # Unix only

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _tuned(name: str, folder: Path, help_center: HelpCenter | None) -> SupportBot:
    if name == "LoRA":
        return SupportBot(help_center=help_center, adapter=folder)
    bot = SupportBot(help_center=help_center)
    bot.model = ChatModel(new_model(str(folder)), load_tokenizer(llm_name()))
    return bot


def _timed_sync(count: int) -> tuple[float, float]:
    """Return wall-clock and processor seconds of one sync after ``count`` articles changed; 0: a new index of all."""
    folder = fresh_copy(HELP_CENTER / "current", "timed")
    help_center = HelpCenter.from_folder(folder)
    help_center.clear()
    if count:
        help_center.sync()
        for path in sorted(folder.glob("*.md"))[:count]:
            path.write_text(re.sub(r"(\w)\.(\s)", r"\1, as ever.\2", path.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    processor = time.process_time()
    seconds = help_center.sync().seconds
    return seconds, time.process_time() - processor
