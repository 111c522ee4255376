"""Draw the pictures of a compression report."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter
from matplotlib.transforms import Bbox

from emotion.reporting.compression_schema import BASELINE, CompressionReport, Variant
from emotion.reporting.figures import (
    BLUE,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PAGE,
    SERIES,
    in_style,
    new_figure,
    without_frame,
)

_LIGHT_BLUE = SERIES[4]
_LEAST_SPAN, _LOWEST = 5.0, -15.0
"""Points of macro F1 that the picture shows at least below the best variants, and the lowest that it shows."""


@in_style()
def comparison_figure(report: CompressionReport, title: str | None = None) -> Figure:
    """Draw file size, speed and macro F1 of each variant as bars, the original first and the rest by size.

    Whiskers are 95 % intervals of macro F1.

    Args:
        report: What to draw.
        title: Heading; "" = none, None = the model and the rows.
    """
    names = [BASELINE, *(name for name in reversed(report.ranking.by_size) if name != BASELINE)]
    variants = [report.variants[name] for name in names]
    figure = new_figure(width=PAGE, height=1.2 + 0.36 * len(names))
    _write_title(figure, report, title)
    sizes, speeds, scores = figure.subplots(1, 3, sharey=True)
    rows = range(len(names))
    colours = [GREY if name == BASELINE else BLUE for name in names]

    sizes.barh(rows, [v.size_mb for v in variants], height=0.6, color=colours)
    _label(sizes, [v.size_mb for v in variants], [f"{v.size_mb:.1f} MB ({v.size_ratio:.0%})" for v in variants])
    sizes.set_title("file size: shorter is better")
    sizes.set_yticks(rows, names)
    sizes.invert_yaxis()

    speeds.barh([row - 0.17 for row in rows], [v.speedup_batch_1 for v in variants], height=0.32, color=_LIGHT_BLUE,
                label="one text at a time")  # fmt: skip
    speeds.barh([row + 0.17 for row in rows], [v.speedup for v in variants], height=0.32, color=BLUE,
                label="batches of 32")  # fmt: skip
    for offset, values in ((-0.17, [v.speedup_batch_1 for v in variants]), (0.17, [v.speedup for v in variants])):
        _label(speeds, values, [f"{value:.2f}x" for value in values], offset)
    speeds.axvline(1, color=ORANGE, linewidth=1, linestyle="--", zorder=3)
    speeds.set_title("speed, the original = 1")
    speeds.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, columnspacing=1, handlelength=1)

    scores.barh(rows, [v.macro_f1 for v in variants], height=0.6, color=colours, alpha=0.8)
    _whiskers(scores, variants)
    differences = {name: f" ({report.points(name):+.2f})" for name in names if name != BASELINE}
    texts = [f"{report.variants[name].macro_f1:.4f}{differences.get(name, '')}" for name in names]
    _label(scores, [_high(v) for v in variants], texts)
    scores.axvline(report.variants[BASELINE].macro_f1, color=ORANGE, linewidth=1, linestyle="--", zorder=3)
    scores.set_title("macro F1 (points from the original)")
    for axes in (sizes, speeds, scores):
        without_frame(axes)
        axes.spines["left"].set_visible(True)
        axes.set_xticks([])
    return figure


@in_style()
def frontier_figure(report: CompressionReport, title: str | None = None) -> Figure:
    """Draw the change of macro F1 against file size and against speed, with the 95 % interval of the paired difference.

    The line joins the variants that no other beats in both. A hollow point cannot be told from the original: the
    interval of its difference includes 0.

    Args:
        report: What to draw.
        title: Heading; "" = none, None = the model and the rows.
    """
    figure = new_figure(width=PAGE, height=3.3)
    _write_title(figure, report, title)
    by_size, by_speed = figure.subplots(1, 2, sharey=True)
    panels = (
        (by_size, {name: -v.size_ratio for name, v in report.variants.items()}, -1),
        (by_speed, {name: v.speedup_batch_1 for name, v in report.variants.items()}, 1),
    )
    points = {name: report.points(name) for name in report.variants}
    fronts = [pareto_front(merits, points) for _, merits, _ in panels]
    worth = [points[name] for name in (BASELINE, *fronts[0], *fronts[1])]
    # A variant that lost everything is drawn at the bottom, labelled with its score: at its true height it would
    # squeeze the others together.
    bottom = max(min(worth) - max(max(worth) - min(worth), _LEAST_SPAN), _LOWEST)
    for (axes, merits, sign), front in zip(panels, fronts, strict=True):
        axes.axhline(0, color=LIGHT_GREY, linewidth=0.8, zorder=0)
        heights = [max(points[name], bottom) for name in front]
        axes.plot([sign * merits[name] for name in front], heights, color=BLUE, linewidth=1.2, alpha=0.5, zorder=1)
        for name in sorted(points, key=lambda each: (points[each], merits[each]), reverse=True):
            colour = GREY if name == BASELINE else BLUE if name in front else ORANGE
            _draw_variant(axes, name, report.variants[name], sign * merits[name], points[name], bottom, colour)
        axes.set_xscale("log")
        axes.grid(visible=True)
        axes.margins(x=0.16, y=0.12)
    by_size.invert_xaxis()
    by_size.set_xlabel("size of the file (smaller to the right)")
    by_size.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    by_speed.set_xlabel("speed, one text at a time (faster to the right)")
    by_speed.xaxis.set_major_formatter("{x:g}x")
    for axes in (by_size, by_speed):
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    by_size.set_ylabel("macro F1, points from the original")
    _explain_marks(figure, report)
    figure.draw_without_rendering()  # only this determines where the points lie
    for axes in (by_size, by_speed):
        _spread_names(axes)
    return figure


def _draw_variant(
    axes: Axes, name: str, variant: Variant, across: float, points: float, bottom: float, colour: str
) -> None:
    """Draw a variant's point, interval and name; one below ``bottom`` is drawn there, with its score."""
    is_below = points < bottom
    height = max(points, bottom)
    found = variant.difference.interval if variant.difference is not None else None
    if found is not None and not is_below and name != BASELINE:
        axes.vlines(across, max(100 * found.low, bottom), 100 * found.high, color=colour, linewidth=0.8, alpha=0.6)
    is_same = found is not None and found.low <= 0 <= found.high and name != BASELINE
    face = "white" if is_same else colour
    marker = "D" if name == BASELINE else "v" if is_below else "o"
    axes.scatter(across, height, s=26, facecolor=face, edgecolor=colour, linewidth=1.2, marker=marker, zorder=2)
    axes.annotate(
        f"{name} ({variant.macro_f1:.2f})" if is_below else name, (across, height), xytext=(6, 0),
        textcoords="offset points", ha="left", va="center", fontsize=7, color=colour,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )  # fmt: skip


def _explain_marks(figure: Figure, report: CompressionReport) -> None:
    if all(variant.difference is None for variant in report.variants.values()):
        return
    meanings = (
        ("D", GREY, "the original"),
        ("o", GREY, "differs from it"),
        ("o", "white", "cannot be told from it: the 95 % interval of the difference includes 0"),
    )
    marks = [
        Line2D([], [], color=GREY, marker=marker, linestyle="none", markersize=5, markerfacecolor=face, label=label)
        for marker, face, label in meanings
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, handletextpad=0.3, columnspacing=1.5)


def _spread_names(axes: Axes) -> None:
    """Move each name up or down, as little as needed, until it covers no point and no other name."""
    radius = 3 * axes.get_figure().dpi / 72  # type: ignore[union-attr]
    names = [text for text in axes.texts if isinstance(text, Annotation)]
    points = [axes.transData.transform(name.xy) for name in names]
    taken = [Bbox([point - radius, point + radius]) for point in points]
    for name in names:
        for step in (0, 1, -1, 2, -2, 3, -3):
            name.xyann = 6, 8.5 * step
            box = name.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def pareto_front(merits: Mapping[str, float], scores: Mapping[str, float]) -> list[str]:
    """List the names that no other beats in one without losing in the other, by rising merit; larger is better."""
    front: list[str] = []
    for name in sorted(merits, key=lambda each: (merits[each], scores[each]), reverse=True):
        if not front or scores[name] > scores[front[-1]]:
            front.append(name)
    return front[::-1]


def _write_title(figure: Figure, report: CompressionReport, title: str | None) -> None:
    text = f"{report.model_name} compressed, on {report.data.rows:,} validation rows" if title is None else title
    if text:
        figure.suptitle(text)


def _high(variant: Variant) -> float:
    return variant.macro_f1 if variant.intervals is None else variant.intervals.macro_f1.high


def _whiskers(axes: Axes, variants: Sequence[Variant]) -> None:
    for row, variant in enumerate(variants):
        if variant.intervals is not None:
            found = variant.intervals.macro_f1
            axes.plot([found.low, found.high], [row, row], color="black", linewidth=0.8, marker="|", markersize=4)


def _label(axes: Axes, values: Sequence[float], texts: Sequence[str], offset: float = 0.0) -> None:
    """Write each bar's value at its end, and leave room for it."""
    for row, (value, text) in enumerate(zip(values, texts, strict=True)):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # a line may run behind it
        axes.annotate(text, (value, row + offset), xytext=(4, 0), textcoords="offset points", va="center",
                      fontsize=6.5, bbox=box, zorder=4)  # fmt: skip
    axes.set_xlim(0, max(axes.get_xlim()[1], 1.5 * max(values)))
