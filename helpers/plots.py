"""The course's figures, in one style, each with its numbers in words.

Every function returns a ``Chart``: a matplotlib ``Figure`` whose ``alt_text()``
is a sentence with the numbers, which notebooks also give to screen readers.
Colours are Okabe and Ito's (2008); markers and hatches say the same without colour.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.scenarios import ARM_NAMES, ARMS
from helpers.scoring import Estimate

STYLE = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "hatch.linewidth": 0.6,
}
BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
ARM_LOOKS = {"base": ("#000000", "o"), "prompt": (ORANGE, "s"), "rag": (BLUE, "^"), "lora": (VERMILLION, "D"), "hybrid": (GREEN, "*")}
METRIC_NAMES = {
    "facts_current": "today's facts",
    "facts_stale": "outdated facts",
    "citation_precision": "citations that hold",
    "citation_recall": "facts with a citation",
    "voice": "right voice",
    "escalation_recall": "handed over",
    "escalation_queue": "to the right team",
    "escalation_false_alarm": "needless hand-overs",
    "resolved": "resolved",
    "abstention": "says it does not know",
}
SQUARE = ("facts_current", "facts_stale", "voice", "escalation_recall", "resolved")


class Chart(Figure):
    """A figure that knows its own description."""

    description = ""

    def alt_text(self) -> str:
        """Return one sentence with the figure's numbers."""
        return self.description

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        picture = BytesIO()
        self.savefig(picture, format="png", bbox_inches="tight")
        return {"image/png": picture.getvalue(), "text/plain": self.description}, {"image/png": {"alt": self.description}}


def loss_curve(losses: Sequence[float]) -> Chart:
    """Draw the loss (nats a token) of each training step.

    Raises:
        ValueError: there are no losses.
    """
    if not losses:
        raise ValueError("No losses to draw. Train an adapter first: report.losses holds them.")
    with matplotlib.rc_context(STYLE):
        chart = Chart(figsize=(6, 3.2), layout="constrained")
        axes = chart.subplots()
        axes.plot(range(1, len(losses) + 1), losses, color=BLUE)
        for step in {1, len(losses)}:
            axes.annotate(f"{losses[step - 1]:.2f}", (step, losses[step - 1]), xytext=(4, 6), textcoords="offset points")
        axes.set(xlabel="training step", ylabel="loss (nats a token)", ylim=(0, None))
    chart.description = f"Training loss over {len(losses)} steps: it starts at {losses[0]:.2f} and ends at {losses[-1]:.2f} nats a token."
    return chart


def square(arms: Mapping[str, Mapping[str, Estimate]], metrics: Sequence[str] = SQUARE) -> Chart:
    """Draw each arm's share of tickets with its 95 % interval, one panel a metric.

    Args:
        arms: arm -> metric -> estimate; an arm without a metric has a gap there.
    """
    shown = [arm for arm in ARMS if arm in arms]
    with matplotlib.rc_context(STYLE):
        chart = Chart(figsize=(2.2 * len(metrics) + 1, 0.45 * len(shown) + 1.4), layout="constrained")
        panels = chart.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics, strict=True):
            for row, arm in enumerate(shown):
                if metric in arms[arm]:
                    _dot(axes, row, arm, arms[arm][metric])
            axes.set(title=METRIC_NAMES.get(metric, metric), xlabel="share of tickets", xlim=(-0.05, 1.05), ylim=(len(shown) - 0.5, -0.7))
        panels[0].set_yticks(range(len(shown)), [ARM_NAMES[arm] for arm in shown])
    described = [f"{METRIC_NAMES.get(metric, metric)}: {_listed(arms, shown, metric)}" for metric in metrics]
    chart.description = f"Share of tickets with 95 % intervals. {'; '.join(described)}."
    return chart


def retrieval_curve(hits_at_k: Mapping[int, float]) -> Chart:
    """Draw the share of questions whose answering passage is among the first k.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not hits_at_k:
        raise ValueError("No k to draw. Give a dictionary such as {1: 0.88, 3: 0.98}.")
    points = sorted(hits_at_k.items())
    with matplotlib.rc_context(STYLE):
        chart = Chart(figsize=(5, 3.2), layout="constrained")
        axes = chart.subplots()
        axes.plot(*zip(*points, strict=True), color=BLUE, marker="o")
        for k, share in points:
            axes.annotate(f"{share:.2f}", (k, share), xytext=(0, -15), textcoords="offset points", ha="center")
        axes.set(xlabel="passages brought (k)", ylabel="share of questions", ylim=(0, 1.05), xticks=[k for k, _ in points])
        axes.margins(x=0.1)
    chart.description = f"Share of questions whose answer is among the first k passages: {', '.join(f'{share:.2f} for k = {k}' for k, share in points)}."
    return chart


def intervals(rows: Mapping[str, Estimate], shares: bool = True) -> Chart:
    """Draw means with their 95 % intervals, one row each, the numbers beside them.

    Args:
        shares: False for seconds and the like. Differences of shares are told by their range.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not rows:
        raise ValueError("No rows to draw. Give a dictionary of name -> Estimate.")
    with matplotlib.rc_context(STYLE):
        chart = Chart(figsize=(8, 0.36 * len(rows) + 1), layout="constrained")
        axes = chart.subplots()
        for place, found in enumerate(rows.values()):
            axes.plot([found.low, found.high], [place, place], color=BLUE, linewidth=2)
            axes.plot(found.value, place, color=BLUE, marker="o", markersize=8)
        share = shares and all(0 <= found.low and found.high <= 1 for found in rows.values())
        axes.set(xlabel="share, with 95 % interval" if share else "mean, with 95 % interval", ylim=(len(rows) - 0.5, -0.5))
        if share:
            axes.set_xlim(-0.03, 1.03)
        axes.set_yticks(range(len(rows)), list(rows))
        numbers = axes.secondary_yaxis("right")
        numbers.set_yticks(range(len(rows)), [f"{found.value:.2f}" for found in rows.values()])
        numbers.tick_params(length=0)
        numbers.spines["right"].set_visible(False)
    chart.description = f"Means with 95 % intervals. {'; '.join(f'{name}: {found}' for name, found in rows.items())}."
    return chart


def curves(series: Mapping[str, Mapping[float, Estimate]], xlabel: str, ylabel: str = "share of tickets", logarithmic: bool = False) -> Chart:
    """Draw lines over a number, each point with its 95 % interval and value.

    Args:
        series: name -> {x: estimate}.

    Raises:
        ValueError: there is nothing to draw, or too much.
    """
    if not series:
        raise ValueError("No lines to draw. Give a dictionary of name -> {x: Estimate}.")
    looks = list(ARM_LOOKS.values())[2:] + [(ORANGE, "s")]
    if len(series) > len(looks):
        raise ValueError(f"{len(series)} lines are more than can be told apart. Draw up to {len(looks)}.")
    beside = [(6, 5), (6, -13), (-30, 5), (-30, -13)]
    with matplotlib.rc_context(STYLE):
        chart = Chart(figsize=(8, 4), layout="constrained")
        axes = chart.subplots()
        for (name, points), (colour, marker), place_of_numbers in zip(series.items(), looks, beside, strict=False):
            places, found = list(points), list(points.values())
            lengths = [[e.value - e.low for e in found], [e.high - e.value for e in found]]
            axes.errorbar(places, [e.value for e in found], yerr=lengths, color=colour, marker=marker, markersize=7, capsize=3, label=name)
            for place, estimate in points.items():
                axes.annotate(f"{estimate.value:.2f}", (place, estimate.value), xytext=place_of_numbers, textcoords="offset points", fontsize=9, color=colour)
        ticks = sorted({place for points in series.values() for place in points})
        if logarithmic:
            axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
        axes.minorticks_off()
        axes.margins(x=0.08)
        axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.03, 1.08))
        axes.legend(loc="best", frameon=False)
    described = [f"{name}: {', '.join(f'{estimate} at {place:,g}' for place, estimate in points.items())}" for name, points in series.items()]
    chart.description = f"{ylabel.capitalize()} over {xlabel}, with 95 % intervals. {'; '.join(described)}."
    return chart


def _dot(axes: Axes, row: int, arm: str, found: Estimate) -> None:
    colour, marker = ARM_LOOKS[arm]
    axes.plot([found.low, found.high], [row, row], color=colour, linewidth=2)
    axes.plot(found.value, row, color=colour, marker=marker, markersize=9)
    side = "left" if found.value < 0.5 else "right"
    axes.annotate(f"{found.value:.2f}", (found.value, row), xytext=(0, 8), textcoords="offset points", ha=side, fontsize=9)


def _listed(arms: Mapping[str, Mapping[str, Estimate]], shown: Sequence[str], metric: str) -> str:
    found = [(arm, arms[arm][metric]) for arm in shown if metric in arms[arm]]
    return ", ".join(f"{ARM_NAMES[arm]} {e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" for arm, e in found) or "not measured"
