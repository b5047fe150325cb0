"""The course on the command line: ``python -m helpers --help``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from helpers.check import report
from helpers.paths import HELP_CENTER, write_whole

TOOLS = ("prompt", "rag", "lora")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 good, 1 a failed check, 2 cannot be done."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is check:
        return check()
    if options.command is ask and options.articles and "rag" not in options.tools:
        parser.error("--articles is read by RAG only; add --tools rag")
    try:
        from helpers.bots import BotError
        from helpers.knowledge import HelpCenterError
        from helpers.models import ModelError
        from helpers.tuning import TuningError
    except (ImportError, RuntimeError) as error:  # Chroma raises RuntimeError when sqlite is too old
        print(f"The course cannot start ({_one_line(error)}). See what is missing or too old with: python -m helpers check", file=sys.stderr)
        return 2
    try:
        return options.command(options)
    except (BotError, HelpCenterError, ModelError, TuningError, OSError) as error:
        print(_one_line(error), file=sys.stderr)
        return 2


def check() -> int:
    """Print what is good and what is not, each problem with its cure."""
    checks = report()
    print(*checks, sep="\n")
    problems = sum(not found.ok for found in checks)
    print("Ready for the course." if not problems else f"Problems: {problems}. Apply the cures, then check again.")
    return 1 if problems else 0


def ask(options: argparse.Namespace) -> int:
    """Print one bot's reply, what it cites and whether it hands over."""
    from helpers.bots import SupportBot
    from helpers.knowledge import HelpCenter
    from helpers.scenarios import prompt_only
    from helpers.tuning import course_adapter

    help_center = None
    if "rag" in options.tools:
        help_center = HelpCenter.from_folder(options.articles or HELP_CENTER / "current")
        help_center.sync()
    bot = SupportBot(
        system_prompt=prompt_only() if "prompt" in options.tools else None,
        help_center=help_center,
        adapter=course_adapter(progress=_show_training) if "lora" in options.tools else None,
    )
    reply = bot.ask(options.question)
    print(reply.text)
    for passage in reply.citations:
        print(f"Cites {passage.article}: {passage.text}")
    if reply.escalated:
        print(f"Hands over to: {reply.queue}")
    return 0


def scoreboard(options: argparse.Namespace) -> int:
    """Measure the five bots, print the table and write it as JSON."""
    from helpers.scoreboard import scoreboard as measure

    _try_to_write(options.json)
    found = measure()
    _write_json(options.json, found)
    print(table(found["arms"]))
    print(f"Written to {options.json}")
    return 0


def experiments(options: argparse.Namespace) -> int:
    """Recompute the claims' experiments, write each as it is done, and say where they differ from the stored results."""
    from helpers.claims import CLAIMS, ClaimError, claim

    try:
        chosen = [claim(number) for number in options.only] if options.only else CLAIMS
    except ClaimError as error:
        print(error, file=sys.stderr)
        return 2
    _try_to_write(options.json)
    records, apart = {}, 0
    for found in chosen:
        print(f"{found.number}. {found.says}", flush=True)
        record = found.recompute(lambda line: print(f"   {line}", flush=True))
        records[found.file.stem] = record.as_json()
        _write_json(options.json, records)
        if options.store:
            _write_json(found.file, record.as_json())
        elif found.file.exists():
            differing = found.differences(found.stored(), record)
            apart += bool(differing)
            for line in differing:
                print(f"   differs: {line}")
        print(f"   {found.verdict(record)}, {record.seconds:.0f} s", flush=True)
    print(f"Written to {options.json}")
    return 1 if apart else 0


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _try_to_write(file: Path) -> None:
    """Raise OSError for a file that cannot be written: now, not after the measurement."""
    if file.is_dir() or not file.name:
        raise IsADirectoryError(f"{file} is a folder. Name a file, such as scoreboard.json.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(f"{error.filename} is a file and no folder. Name a file in a folder, such as workspace/scoreboard.json.") from error
    with TemporaryFile(dir=file.parent):
        pass


def _write_json(file: Path, content: dict) -> None:
    write_whole(file, json.dumps(content, indent=1) + "\n")


def table(arms: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the scoreboard as text: a metric a row, an arm a column, each mean with its 95 % interval."""
    metrics = dict.fromkeys(metric for found in arms.values() for metric in found)
    rows = [["", *arms]]
    for metric in metrics:
        rows.append([metric, *(_cell(found.get(metric)) for found in arms.values())])
    return "\n".join(f"{row[0]:<24}" + "".join(f"{cell:<19}" for cell in row[1:]).rstrip() for row in rows)


def _cell(estimate: dict[str, float] | None) -> str:
    return "-" if estimate is None else f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def _show_training(step: int, steps: int, loss: float) -> None:
    print(f"\rTraining the adapter, first use only: step {step} of {steps}", end="\n" if step == steps else "", file=sys.stderr, flush=True)


def _tools(text: str) -> tuple[str, ...]:
    tools = tuple(tool.strip() for tool in text.split(",") if tool.strip())
    unknown = [tool for tool in tools if tool not in TOOLS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no tool; choose from {', '.join(TOOLS)}, separated by commas")
    return tools


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers", description="RAG or fine-tuning? The course on the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("check", help="is this machine ready? each problem with its cure")
    command.set_defaults(command=check)

    command = commands.add_parser("ask", help="put one question to a bot")
    command.add_argument("question", help="what a customer writes")
    command.add_argument("--tools", type=_tools, default=(), help=f"any of {','.join(TOOLS)}; none is the base bot")
    command.add_argument("--articles", type=Path, metavar="FOLDER", help="help centre for RAG (default: today's Fernhollow)")
    command.set_defaults(command=ask)

    command = commands.add_parser("scoreboard", help="measure all five bots on the held-out tickets")
    command.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the numbers")
    command.set_defaults(command=scoreboard)

    command = commands.add_parser("experiments", help="recompute the experiments behind the twelve claims; 1: one differs from its stored result")
    command.add_argument("--json", type=Path, required=True, metavar="FILE", help="where to write the numbers, one object an experiment")
    command.add_argument("--only", type=int, nargs="+", metavar="N", help="numbers of the claims (default: all twelve, about 45 minutes)")
    command.add_argument("--store", action="store_true", help="also put them into data/experiments, where the notebooks read them")
    command.set_defaults(command=experiments)
    return parser


if __name__ == "__main__":
    sys.exit(main())
