"""Draw the pictures of a compression report."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter
from matplotlib.transforms import Bbox

from emotion.reporting.compression_schema import BASELINE, CompressionReport
from emotion.reporting.plots import BLUE, GREY, ORANGE, new_figure

_LIGHT_BLUE = "#90b4dc"


def comparison_figure(report: CompressionReport) -> Figure:
    """Draw file size, speed and macro F1 of each variant as bars, the original first and the rest by size."""
    names = [BASELINE, *(name for name in reversed(report.ranking.by_size) if name != BASELINE)]
    variants = [report.variants[name] for name in names]
    figure = new_figure(width=11.5, height=1.9 + 0.55 * len(names))
    figure.suptitle(
        f"{report.model_name} compressed: smaller, faster, as good? ({report.data.rows:,} validation rows)",
        fontweight="bold",
    )
    sizes, speeds, scores = figure.subplots(1, 3, sharey=True)
    rows = range(len(names))
    colours = [GREY if name == BASELINE else BLUE for name in names]

    sizes.barh(rows, [v.size_mb for v in variants], height=0.6, color=colours)
    _label(sizes, [v.size_mb for v in variants], [f"{v.size_mb:.1f} MB ({v.size_ratio:.0%})" for v in variants])
    sizes.set_title("file size: shorter is better", fontsize=10)
    sizes.set_yticks(rows, names)
    sizes.invert_yaxis()

    speeds.barh([row - 0.17 for row in rows], [v.speedup_batch_1 for v in variants], height=0.32, color=_LIGHT_BLUE,
                label="one text at a time")  # fmt: skip
    speeds.barh([row + 0.17 for row in rows], [v.speedup for v in variants], height=0.32, color=BLUE,
                label="batches of 32")  # fmt: skip
    for offset, values in ((-0.17, [v.speedup_batch_1 for v in variants]), (0.17, [v.speedup for v in variants])):
        _label(speeds, values, [f"{value:.2f}x" for value in values], offset)
    speeds.axvline(1, color=ORANGE, linewidth=1, linestyle="--", zorder=3)
    speeds.set_title("speed, the original = 1: longer is better", fontsize=10)
    speeds.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2)

    original = report.variants[BASELINE].macro_f1
    scores.barh(rows, [v.macro_f1 for v in variants], height=0.6, color=colours)
    differences = [f"{v.macro_f1:.4f} ({100 * (v.macro_f1 - original):+.2f})" for v in variants]
    _label(scores, [v.macro_f1 for v in variants], [f"{original:.4f}", *differences[1:]])
    scores.axvline(original, color=ORANGE, linewidth=1, linestyle="--", zorder=3)
    scores.set_title("macro F1 (points from the original)", fontsize=10)
    for axes in (sizes, speeds, scores):
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xticks([])
    return figure


def frontier_figure(report: CompressionReport) -> Figure:
    """Draw macro F1 against file size and against speed; the line joins the variants that no other beats in both."""
    figure = new_figure(width=11.5, height=5.2)
    figure.suptitle(
        f"{report.model_name}: what compression costs ({report.data.rows:,} validation rows)", fontweight="bold"
    )
    by_size, by_speed = figure.subplots(1, 2, sharey=True)
    panels = (
        (by_size, {name: -v.size_ratio for name, v in report.variants.items()}, -1),
        (by_speed, {name: v.speedup_batch_1 for name, v in report.variants.items()}, 1),
    )
    scores = {name: variant.macro_f1 for name, variant in report.variants.items()}
    fronts = [pareto_front(merits, scores) for _, merits, _ in panels]
    worth = [scores[name] for name in (BASELINE, *fronts[0], *fronts[1])]
    # A variant that lost everything is drawn at the bottom, labelled with its score: at its true height it would
    # squeeze the others together.
    bottom = min(worth) - max(max(worth) - min(worth), 0.05)
    heights = {name: max(score, bottom) for name, score in scores.items()}
    for (axes, merits, sign), front in zip(panels, fronts, strict=True):
        axes.plot([sign * merits[name] for name in front], [scores[name] for name in front], color=BLUE, linewidth=1.5,
                  alpha=0.5, zorder=1)  # fmt: skip
        for name in sorted(scores, key=lambda each: (scores[each], merits[each]), reverse=True):
            colour = GREY if name == BASELINE else BLUE if name in front else ORANGE
            place = sign * merits[name], heights[name]
            is_below = scores[name] < bottom
            axes.scatter(*place, s=50, color=colour, marker="v" if is_below else "o", zorder=2)
            axes.annotate(f"{name} ({scores[name]:.2f})" if is_below else name, place, xytext=(8, 0),
                          textcoords="offset points", ha="left", va="center", fontsize=8.5, color=colour,
                          path_effects=[withStroke(linewidth=3, foreground="white")])  # fmt: skip
        axes.set_xscale("log")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.16, y=0.12)
    by_size.invert_xaxis()
    by_size.set_xlabel("file size, share of the original's (smaller to the right)")
    by_size.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    by_speed.set_xlabel("speed, one text at a time, the original = 1 (faster to the right)")
    by_speed.xaxis.set_major_formatter("{x:g}x")
    for axes in (by_size, by_speed):
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    by_size.set_ylabel("macro F1")
    figure.draw_without_rendering()  # only this determines where the points lie
    for axes in (by_size, by_speed):
        _spread_names(axes)
    return figure


def _spread_names(axes: Axes) -> None:
    """Move each name up or down, as little as needed, until it covers no point and no other name."""
    radius = 4 * axes.get_figure().dpi / 72  # type: ignore[union-attr]
    names = [text for text in axes.texts if isinstance(text, Annotation)]
    points = [axes.transData.transform(name.xy) for name in names]
    taken = [Bbox([point - radius, point + radius]) for point in points]
    for name in names:
        for step in (0, 1, -1, 2, -2, 3, -3):
            name.xyann = 8, 10.5 * step
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


def _label(axes: Axes, values: list[float], texts: list[str], offset: float = 0.0) -> None:
    """Write each bar's value at its end, and leave room for it."""
    for row, (value, text) in enumerate(zip(values, texts, strict=True)):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # a line may run behind it
        axes.annotate(text, (value, row + offset), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8.5,
                      bbox=box, zorder=4)  # fmt: skip
    axes.set_xlim(0, max(axes.get_xlim()[1], 1.55 * max(values)))
