"""What an experiment measured, and which sentences its numbers carry."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from helpers.experiments import PairedTest, paired_difference, paired_test
from helpers.paths import workspace
from helpers.scoreboard import Scores
from helpers.scoring import Estimate, estimate

CONFIRMED, LIMITED, NOT_CONFIRMED = "confirmed", "confirmed with a limit", "not confirmed here"
SIGNIFICANT = 0.05

Report = Callable[[str], None]


def fresh_copy(source: Path, name: str) -> Path:
    """Return a folder of the workspace that holds what ``source`` holds and nothing else."""
    folder = workspace() / "claims" / name
    shutil.rmtree(folder, ignore_errors=True)
    return shutil.copytree(source, folder)


@dataclass
class Outcome:
    """The numbers of one experiment.

    ``measures`` have an interval and an n; ``tests`` are exact McNemar tests of
    two bots on the same tickets; ``counts`` are counted, not sampled (parameters,
    bytes), or timed once.
    """

    measures: dict[str, Estimate] = field(default_factory=dict)
    tests: dict[str, PairedTest] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)

    def measure(self, name: str, scores: Mapping[str, float] | Sequence[float]) -> Estimate:
        """Keep the mean of ``scores`` under ``name``, with its 95 % interval; nan with n = 0 if nothing could be scored."""
        values = list(scores.values()) if isinstance(scores, Mapping) else list(scores)
        self.measures[name] = estimate(values) if values else Estimate(float("nan"), float("nan"), float("nan"), 0)
        return self.measures[name]

    def compare(self, name: str, first: Scores, second: Scores) -> Estimate:
        """Keep the mean difference of two bots on the tickets that both were scored on, and McNemar's test.

        Scores that are means over seeds count as right in the test from one half on.
        """
        shared = [i for i in first if i in second]
        self.measures[name] = paired_difference({i: first[i] for i in shared}, {i: second[i] for i in shared})
        self.tests[name] = paired_test({i: float(first[i] >= 0.5) for i in shared}, {i: float(second[i] >= 0.5) for i in shared})
        return self.measures[name]

    def as_json(self) -> dict:
        """Return the numbers as they are stored."""
        return {
            "measures": {name: asdict(found) for name, found in self.measures.items()},
            "tests": {name: asdict(found) for name, found in self.tests.items()},
            "counts": self.counts,
            "seeds": list(self.seeds),
        }

    @classmethod
    def from_json(cls, row: Mapping) -> "Outcome":
        """Return the numbers that ``as_json`` stored."""
        measures = {name: Estimate(**found) for name, found in row["measures"].items()}
        tests = {name: PairedTest(**found) for name, found in row["tests"].items()}
        return cls(measures, tests, dict(row["counts"]), tuple(row["seeds"]))


@dataclass(frozen=True)
class Check:
    """A sentence of the lesson and the number that must carry it.

    The whole interval of ``measure`` must lie above ``above`` or below ``below``.
    A comparison must also be significant by its paired test, unless it shows that
    two bots are about equal (``equal``). A ``limit`` does not confirm the claim: where
    it holds, the claim ends there. An ``extra`` was expected beside the claim, mostly from
    the literature: where it does not hold, the claim is confirmed with a limit only.
    """

    sentence: str
    measure: str
    above: float | None = None
    below: float | None = None
    equal: bool = False
    limit: bool = False
    extra: bool = False

    def holds(self, outcome: Outcome) -> bool:
        """True if the numbers carry the sentence."""
        if self.measure in outcome.counts:
            low = high = outcome.counts[self.measure]
        else:
            low, high = outcome.measures[self.measure].low, outcome.measures[self.measure].high
        test = outcome.tests.get(self.measure)
        clear = self.equal or test is None or test.p < SIGNIFICANT
        return clear and (self.above is None or low > self.above) and (self.below is None or high < self.below)


def verdict(checks: Sequence[Check], outcome: Outcome) -> str:
    """Return what the numbers say about a claim: confirmed, with a limit, or not here."""
    if not all(check.holds(outcome) for check in checks if not check.limit and not check.extra):
        return NOT_CONFIRMED
    limited = any(check.holds(outcome) if check.limit else not check.holds(outcome) for check in checks if check.limit or check.extra)
    return LIMITED if limited else CONFIRMED
