"""Draw the picture of an ablation."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emotion.reporting.ablation_report import NOISE, SwitchEffect
from emotion.reporting.figures import BLUE, LIGHT_GREY, ORANGE, PAGE, in_style, new_figure, without_frame


@in_style()
def ablation_figure(effects: Mapping[str, Sequence[SwitchEffect]], title: str) -> Figure:
    """Draw the points of macro F1 that each change adds, with 95 % intervals and the seeds, a panel for each set.

    Args:
        effects: By the title of the panel; each panel at least one, all panels the same changes in the same order.
        title: Heading.
    """
    changes = len(next(iter(effects.values())))
    figure = new_figure(width=PAGE, height=1 + 0.26 * changes)
    figure.suptitle(title)
    figure.supxlabel("points of macro F1; bar: 95 %, ticks: seeds, grey: noise", fontsize=8)
    panels = figure.subplots(1, len(effects), sharey=True, squeeze=False)[0]
    for axes, (name, found) in zip(panels, effects.items(), strict=True):
        _panel(axes, found)
        axes.set_title(name, loc="left")
    panels[0].set_yticks(range(changes), [each.switch for each in next(iter(effects.values()))])
    panels[0].set_ylim(changes - 0.4, -0.6)  # the first on top
    return figure


def _panel(axes: Axes, effects: Sequence[SwitchEffect]) -> None:
    axes.axvline(0, color=ORANGE, linewidth=1, linestyle="--", zorder=0)
    for row, each in enumerate(effects):
        colour = LIGHT_GREY if each.verdict == NOISE else BLUE
        interval = each.difference.interval
        axes.plot([100 * interval.low, 100 * interval.high], [row, row], color=colour, linewidth=2, zorder=1)
        axes.plot([100 * value for value in each.by_seed], [row] * len(each.by_seed), "|", color=colour, markersize=7)
        axes.plot([100 * each.difference.difference], [row], "o", color=colour, markersize=5, zorder=2)
    without_frame(axes)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(True)
