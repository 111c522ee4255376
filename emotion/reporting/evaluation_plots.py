"""Draw how good models are on one CSV, and how far their confidences can be trusted."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from emotion.evaluation import Calibration
from emotion.reporting.figures import BLUE, COLUMN, GREY, LIGHT_GREY, MARKERS, SERIES, in_style, new_figure
from emotion.reporting.glyphs import drawable
from emotion.reporting.schema import ScoresRecord


@in_style()
def scores_figure(records: Mapping[str, ScoresRecord], models: int) -> Figure:
    """Draw macro F1 as points with their 95 % intervals.

    Args:
        records: Scores by name, in the order from top to bottom; the first ``models`` are models, the others baselines.
        models: Number of models.
    """
    figure = new_figure(width=COLUMN, height=0.75 + 0.24 * len(records))
    axes = figure.add_subplot()
    for place, record in enumerate(records.values()):
        colour, marker = (BLUE, "o") if place < models else (GREY, "D")
        if record.intervals is not None:
            found = record.intervals.macro_f1
            axes.plot([found.low, found.high], [place, place], color=colour, linewidth=1, marker="|", markersize=5)
        axes.plot(record.macro_f1, place, marker, color=colour, markersize=4.5)
        axes.annotate(f"{record.macro_f1:.3f}", (1.02, place), xycoords=("axes fraction", "data"), va="center",
                      fontsize=7.5, annotation_clip=False)  # fmt: skip
    axes.set_yticks(range(len(records)), [drawable(name) for name in records])
    axes.set_ylim(len(records) - 0.4, -0.6)
    axes.set_xlabel("macro F1, with its 95 % interval")
    axes.set_xlim(left=max(0.0, axes.get_xlim()[0]), right=min(1.0, axes.get_xlim()[1]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


@in_style()
def reliability_figure(calibration: Calibration) -> Figure:
    """Draw accuracy over mean confidence in bins, with the diagonal; a point's area is its bin's number of rows."""
    bins = calibration.reliability
    start = min(min(each.confidence, each.accuracy) for each in bins)
    start = int(10 * start) / 10
    figure = new_figure(width=COLUMN, height=COLUMN * 0.85)
    axes = figure.add_subplot()
    axes.plot([start, 1], [start, 1], color=LIGHT_GREY, linewidth=1, linestyle="--", label="perfect", zorder=0)
    most = max(each.rows for each in bins)
    for each in bins:
        axes.plot([each.confidence] * 2, [each.confidence, each.accuracy], color=BLUE, linewidth=0.8, alpha=0.6)
    axes.scatter(
        [each.confidence for each in bins], [each.accuracy for each in bins], [18 * each.rows / most for each in bins],
        color=BLUE, zorder=2,
    )  # fmt: skip
    found = calibration.ece_interval
    axes.annotate(
        f"ECE {calibration.ece_after:.3f}\n"
        f"95 %, corrected for noise: {found.low:.3f} to {found.high:.3f}\n"
        f"noise alone: up to {calibration.ece_perfect.high:.3f}\n"
        f"temperature {calibration.temperature:.2f}",
        (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=7.5,
    )  # fmt: skip
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_xlim(start - 0.02, 1.02)
    axes.set_ylim(start - 0.02, 1.02)
    axes.grid(visible=True)
    return figure


@in_style()
def risk_coverage_figure(calibrations: Mapping[str, Calibration]) -> Figure:
    """Draw the error rate over the share of rows that are answered, the most confident first, a line for each model."""
    figure = new_figure(width=COLUMN, height=COLUMN * 0.75)
    axes = figure.add_subplot()
    for place, (name, each) in enumerate(calibrations.items()):
        found = each.risk_coverage
        axes.plot(found.coverage, found.risk, color=SERIES[place % len(SERIES)], label=drawable(name),
                  marker=MARKERS[place % len(MARKERS)], markevery=max(len(found.risk) // 8, 1))  # fmt: skip
    axes.set_xlabel("share of rows answered")
    axes.set_ylabel("error rate")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(bottom=0)
    highest = max(max(each.risk_coverage.risk) for each in calibrations.values())
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if highest > 0.05 else 1))
    axes.grid(visible=True)
    axes.legend(loc="best")
    return figure
