"""A claim of the lesson: its question, its experiment, its stored result, and what the numbers say."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

import filelock

from helpers import plots
from helpers.claims.outcome import Check, Outcome, Report, verdict
from helpers.paths import DATA, workspace
from helpers.predictions import Predictions
from helpers.predictions import record as keep_measured

FOLDER = DATA / "experiments"
PACKAGES = ("torch", "transformers", "peft", "chromadb", "sentence-transformers", "scikit-learn")
TIMED = ("seconds", "processor-seconds")
SYMBOLS = {True: "✓", False: "✗"}


class ClaimError(Exception):
    """A claim or stored result that is not there; the message says what to do."""


@dataclass(frozen=True)
class Record:
    """One run of an experiment: its numbers, and where, when and how long it ran."""

    outcome: Outcome
    seconds: float
    versions: Mapping[str, str]
    machine: str
    date: str

    def as_json(self) -> dict:
        """Return the record as it is stored."""
        return {"seconds": self.seconds, "versions": dict(self.versions), "machine": self.machine, "date": self.date, **self.outcome.as_json()}

    @classmethod
    def from_json(cls, row: Mapping) -> "Record":
        """Return the record that ``as_json`` stored."""
        return cls(Outcome.from_json(row), row["seconds"], row["versions"], row["machine"], row["date"])


@dataclass(frozen=True)
class Curve:
    """A figure over numbers: one line a series, ``{series: {x: measure}}``."""

    series: Mapping[str, Mapping[float, str]]
    xlabel: str
    ylabel: str = "share of tickets"
    logarithmic: bool = False


@dataclass(frozen=True)
class Claim:
    """One of the twelve claims.

    ``predicted`` names the measure that the learner predicts. ``figure`` lists
    measures for a figure of intervals, or is a ``Curve``. ``tolerance`` is how far a
    measure may lie from the stored one when it is computed again; timed ones are
    compared by the checks alone. ``largest`` is the most that can be predicted: 1 for a share.
    """

    number: int
    name: str
    says: str
    question: str
    predicted: str
    run: Callable[[Report], Outcome]
    checks: tuple[Check, ...]
    figure: tuple[str, ...] | Curve
    larger: str
    tolerance: float = 0.05
    largest: float = 1.0
    in_ci: bool = False

    @property
    def file(self) -> Path:
        """Where the stored result is."""
        return FOLDER / f"{self.number:02}_{self.name}.json"

    def stored(self) -> Record:
        """Return the result that came with the course.

        Raises:
            ClaimError: there is none.
        """
        if not self.file.exists():
            cure = f"python -m helpers experiments --json again.json --only {self.number} --store"
            raise ClaimError(f"There is no {self.file.name} in data/experiments. Bring it back with git checkout -- data/experiments, or compute it: {cure}")
        return Record.from_json(json.loads(self.file.read_text(encoding="utf-8")))

    def recompute(self, report: Report = print) -> Record:
        """Run the experiment now; nothing stored is changed."""
        with filelock.FileLock(workspace() / "claims.lock"):  # two notebooks of one learner would train into the same folders
            begin = time.perf_counter()
            outcome = self.run(report)
        seconds = round(time.perf_counter() - begin, 1)
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        return Record(outcome, seconds, {name: version(name) for name in PACKAGES}, machine, date.today().isoformat())

    def verdict(self, record: Record) -> str:
        """Return ``confirmed``, ``confirmed with a limit`` or ``not confirmed here``."""
        return verdict(self.checks, record.outcome)

    def predict(self) -> Predictions:
        """Return a widget that keeps the learner's prediction."""
        return Predictions({f"claim-{self.number}": self.question}, self.largest)

    def keep(self, record: Record) -> None:
        """Keep what was measured beside the prediction, for the table at the end of notebook 04."""
        keep_measured({f"claim-{self.number}": record.outcome.measures[self.predicted]})

    def chart(self, record: Record) -> plots.Chart:
        """Draw the numbers that matter, each with its 95 % interval."""
        found = record.outcome.measures
        if isinstance(self.figure, Curve):
            series = {name: {x: found[measure] for x, measure in points.items()} for name, points in self.figure.series.items()}
            return plots.curves(series, self.figure.xlabel, self.figure.ylabel, self.figure.logarithmic)
        return plots.intervals({name: found[name] for name in self.figure}, shares=not any(name.startswith(TIMED) for name in self.figure))

    def table(self, record: Record) -> str:
        """Return every number of a run as Markdown, with the label that says where it comes from."""
        lines = [f"Computed on {record.date} ({record.machine}; {', '.join(f'{n} {v}' for n, v in record.versions.items())}), seeds {', '.join(map(str, record.outcome.seeds))}, in {record.seconds:.0f} s.", ""]
        lines += ["| measured | mean | 95 % interval | n | paired test |", "|---|---|---|---|---|"]
        for name, found in record.outcome.measures.items():
            test = record.outcome.tests.get(name)
            # Times and differences can be any number; shares need no more than two digits.
            lines.append(f"| {name} | {found.value:.2f} | {found.low:.2f} to {found.high:.2f} | {found.n} | {test or ''} |")
        lines += [f"| {name} | {number:,.10g} | counted or timed once | | |" for name, number in record.outcome.counts.items()]
        return "\n".join(lines)

    def conclusion(self, record: Record) -> str:
        """Return as Markdown which sentences the numbers carry, the verdict, and what a larger model would change."""
        lines = [f"- {SYMBOLS[check.holds(record.outcome)]} {'(limit) ' if check.limit else '(expected as well) ' if check.extra else ''}{check.sentence}" for check in self.checks]
        return "\n".join([f"**Claim {self.number}: {self.verdict(record)}.** {self.says}", "", *lines, "", f"*A larger model:* {self.larger}"])

    def differences(self, stored: Record, again: Record) -> list[str]:
        """Return in words where a second run leaves the tolerance, or carries other sentences."""
        found = [f"{name} is not stored" for name in again.outcome.measures if name not in stored.outcome.measures]
        for name, old in stored.outcome.measures.items():
            new = again.outcome.measures.get(name)
            if new is None:
                found.append(f"{name} was not measured again")
            elif abs(new.n - old.n) > self.tolerance * old.n:
                found.append(f"{name}: {old} is stored, {new} came out")
            elif old.n and not name.startswith(TIMED) and abs(new.value - old.value) > self.tolerance:
                found.append(f"{name}: {old.value:.2f} is stored, {new.value:.2f} came out; {self.tolerance} apart would be fine")
        for check in self.checks:
            if check.holds(stored.outcome) != check.holds(again.outcome):
                found.append(f"{'no longer' if check.holds(stored.outcome) else 'now'} carried: {check.sentence}")
        return found
