"""Draw the picture of a benchmark report."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from emotion.reporting.benchmark_schema import BenchmarkReport, Scaling, Side
from emotion.reporting.figures import BLUE, GREY, ORANGE, PAGE, in_style, new_figure, without_frame


@in_style()
def benchmark_figure(report: BenchmarkReport) -> Figure:
    """Draw rows per second of each side as bars, and cost against the size of the work."""
    bars = [
        (title, speed.sides)
        for title, speed in (("fine-tuning", report.training), ("prediction", report.prediction))
        if speed is not None
    ]
    heights = [0.6 + 0.28 * len(sides) for _, sides in bars] + ([2.4] if report.scaling else [])
    figure = new_figure(width=PAGE, height=sum(heights) + 0.4)
    cpu_or_gpu = report.environment.hardware["gpu" if report.device == "cuda" else "cpu"]
    figure.suptitle(f"{report.model_name}, batches of {report.batch_size}, {cpu_or_gpu}")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (title, sides) in zip(parts, bars, strict=False):
        _bars(part.subplots(), f"{title}: rows a second, longer is better", sides)
    if report.scaling:
        by_rows, by_words = parts[-1].subplots(1, 2)
        for axes, unit in ((by_rows, "rows"), (by_words, "words")):
            _curves(axes, unit, {part: report.scaling[f"{part}_{unit}"] for part in ("train", "predict")})
    return figure


def _bars(axes: Axes, title: str, sides: Mapping[str, Side]) -> None:
    places = range(len(sides))
    speeds = [side.rows_per_second for side in sides.values()]
    errors = [[s.median - s.minimum for s in speeds], [s.maximum - s.median for s in speeds]]
    colours = [BLUE if side.label.startswith("this project") else GREY for side in sides.values()]
    axes.barh(places, [s.median for s in speeds], height=0.62, color=colours, xerr=errors, ecolor=ORANGE)
    longest = max(s.maximum for s in speeds)
    for place, spread, side in zip(places, speeds, sides.values(), strict=True):
        slower = side.speedup_of_ours.median
        note = (
            ""
            if slower == 1
            else f"  ({1 / slower:.1f}x the first)"
            if slower < 1
            else f"  (ours is {slower:.1f}x as fast)"
        )
        axes.text(spread.maximum + 0.01 * longest, place, f" {spread.median:,.0f}{note}", va="center", fontsize=7)
    axes.set_yticks(places, [side.label for side in sides.values()])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * longest)
    axes.set_xticks([])
    axes.set_title(title, loc="left")
    without_frame(axes)


def _curves(axes: Axes, unit: str, curves: Mapping[str, Scaling]) -> None:
    names = {"train": ("fine-tuning, one epoch", BLUE), "predict": ("prediction", ORANGE)}
    for part, curve in curves.items():
        label, colour = names[part]
        axes.loglog(curve.sizes, curve.seconds, "o-", color=colour, label=f"{label}: slope {curve.slope:.2f}")
    axes.set_xticks(curve.sizes)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel({"rows": "rows", "words": "words a row"}[unit])
    axes.set_ylabel("seconds")
    axes.legend()
