"""Draw the picture of a search."""

from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from emotion.reporting.figures import BLUE, LIGHT_GREY, ORANGE, PAGE, in_style, new_figure, without_frame
from emotion.reporting.tuning_report import DONE, TuningReport


@in_style()
def tuning_figure(report: TuningReport) -> Figure:
    """Draw the macro F1 of each trial, the best so far, and each setting's importance if it is known.

    Args:
        report: With one trial or more that is done.
    """
    figure = new_figure(width=PAGE, height=2.6)
    figure.suptitle(f"{report.model_name}: {len(report.trials)} trials")
    panels = figure.subplots(1, 2 if report.importance else 1, width_ratios=[2, 1][: 2 if report.importance else 1])
    history, *rest = [panels] if isinstance(panels, Axes) else panels
    _history(history, report)
    for axes in rest:
        _importance(axes, report.importance)
    return figure


def _history(axes: Axes, report: TuningReport) -> None:
    done = [trial for trial in report.trials if trial.state == DONE]
    ended = [trial for trial in report.trials if trial.state != DONE and trial.macro_f1 is not None]
    numbers = [trial.number for trial in done]
    scores = [trial.macro_f1 or 0 for trial in done]
    axes.step(numbers, list(accumulate(scores, max)), where="post", color=ORANGE, label="best so far")
    axes.plot(numbers, scores, "o", color=BLUE, label="done")
    if ended:
        axes.plot(
            [trial.number for trial in ended],
            [trial.macro_f1 or 0 for trial in ended],
            "x",
            color=LIGHT_GREY,
            label="ended early",
        )
    axes.set_xlabel("trial")
    axes.set_ylabel("macro F1 on validation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)


def _importance(axes: Axes, importance: dict[str, float]) -> None:
    names = [key.split(".", 1)[-1] for key in importance]
    bars = axes.barh(names, list(importance.values()), color=BLUE)
    axes.bar_label(bars, labels=[f"{share:.0%}" for share in importance.values()], padding=3)
    axes.invert_yaxis()  # the most important on top
    axes.set_title("Share of the variance", loc="left")
    axes.set_xlim(0, 1.2 * max(importance.values()))
    axes.set_xticks([])
    without_frame(axes)
