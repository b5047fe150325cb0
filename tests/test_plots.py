"""Figures draw what their descriptions say, and hand the description to screen readers."""

import pytest

from helpers.plots import Chart, curves, intervals, loss_curve, retrieval_curve, square
from helpers.scoring import Estimate

HALF = Estimate(0.5, 0.4, 0.6, 20)


def drawn(chart: Chart) -> str:
    beside = [label for axes in chart.axes for twin in axes.child_axes for label in twin.get_yticklabels()]
    return " ".join(text.get_text() for text in [*beside, *(text for axes in chart.axes for text in axes.texts)])


@pytest.mark.parametrize(
    ("chart", "numbers"),
    [
        (loss_curve([3.25, 2.0, 1.5]), ["3.25", "1.50"]),
        (retrieval_curve({3: 0.98, 1: 0.88}), ["0.88", "0.98"]),
        (intervals({"right": HALF, "difference": Estimate(-0.25, -0.3, -0.2, 9)}), ["0.50", "-0.25"]),
        (curves({"RAG": {30: HALF, 3000: Estimate(0.75, 0.7, 0.8, 9)}}, "passages", logarithmic=True), ["0.50", "0.75"]),
        (square({"rag": {"voice": HALF}, "base": {"voice": Estimate(0.02, 0.0, 0.05, 20)}}, ["voice", "resolved"]), ["0.50", "0.02"]),
    ],
)
def test_numbers_stand_in_the_figure_and_in_its_description(chart: Chart, numbers: list[str]) -> None:
    data, metadata = chart._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == data["text/plain"] == chart.alt_text()
    assert all(number in chart.alt_text() and number in drawn(chart) for number in numbers)
    assert all(axes.get_xlabel() for axes in chart.axes)


def test_seconds_are_no_shares() -> None:
    labels = [intervals({"seconds to sync": HALF}, shares=shares).axes[0].get_xlabel() for shares in (True, False)]
    assert labels == ["share, with 95 % interval", "mean, with 95 % interval"]


def test_square_says_what_was_not_measured() -> None:
    assert "resolved: not measured" in square({"base": {"voice": HALF}}, ["voice", "resolved"]).alt_text()


@pytest.mark.parametrize("draw", [lambda: loss_curve([]), lambda: retrieval_curve({}), lambda: intervals({}), lambda: curves({}, "x")])
def test_nothing_to_draw_is_said(draw) -> None:
    with pytest.raises(ValueError, match="to draw"):
        draw()
