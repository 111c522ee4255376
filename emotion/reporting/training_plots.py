"""Draw pictures of a training."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from emotion.reporting.figures import BLUE, COLUMN, GREY, ORANGE, PAGE, in_style, new_figure, without_frame
from emotion.reporting.glyphs import drawable
from emotion.reporting.schema import EpochRecord

_MANY_CLASSES = 12
"""Classes beyond which a cell of the confusion matrix shows only its count."""


@in_style()
def confusion_matrix_figure(
    confusion_matrix: Sequence[Sequence[int]], names: Sequence[str], title: str = "", colours: Sequence[str] = ()
) -> Figure:
    """Draw the share of each true class (row) that was predicted as each class (column), with the counts.

    Args:
        confusion_matrix: (classes, classes), counts, rows = truth.
        names: The classes' names, in order.
        title: Heading; "" = none.
        colours: A colour for each class, ``#rrggbb``, drawn next to the names; empty = none.
    """
    counts = np.asarray(confusion_matrix)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    many = len(names) > _MANY_CLASSES
    side = max(1.6 + 0.4 * len(names), COLUMN) if not many else 1.6 + 0.25 * len(names)
    figure = new_figure(width=side + 0.5, height=side - 0.2)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(
            column, row, _cell(count, share, many), ha="center", va="center", fontsize=5.5 if many else 7,
            color="white" if share > 0.5 else GREY if count == 0 else "black",
        )  # fmt: skip
    ticks, shown = range(len(names)), [drawable(name) for name in names]
    axes.set_xticks(ticks, shown, rotation=60 if many else 30, ha="right", rotation_mode="anchor")
    supports = counts.sum(axis=1)
    axes.set_yticks(ticks, [f"{name} ({support})" for name, support in zip(shown, supports, strict=True)])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (rows)")
    _write_title(figure, title)
    without_frame(axes)
    axes.tick_params(pad=10 if colours else 3)
    _colour_the_edges(axes, colours)
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1.0), fraction=0.046, pad=0.03)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _colour_the_edges(axes: Axes, colours: Sequence[str]) -> None:
    """Draw a strip in each class's colour left of its row and below its column."""
    gap, width = 0.008, 0.014  # shares of the axes
    for place, colour in enumerate(colours):
        strips = (
            Rectangle((-gap - width, place - 0.46), width, 0.92, transform=axes.get_yaxis_transform()),
            Rectangle((place - 0.46, -gap - width), 0.92, width, transform=axes.get_xaxis_transform()),
        )
        for strip in strips:
            strip.set(facecolor=colour, clip_on=False)
            axes.add_patch(strip)


def _cell(count: int, share: float, many: bool) -> str:
    """Write the count and the share; of many classes only the count, and nothing if there are no rows."""
    if many:
        return str(count) if count else ""
    return f"{count}\n{share:.0%}" if count else "0"


@in_style()
def training_curves_figure(history: Sequence[EpochRecord], best_epoch: float, title: str = "") -> Figure:
    """Draw losses and validation scores over the epochs, with the chosen epoch marked.

    Args:
        history: One record a validation.
        best_epoch: Epochs done at the chosen validation.
        title: Heading; "" = none.
    """
    epochs = [record.epoch for record in history]
    figure = new_figure(width=PAGE, height=2.7)
    _write_title(figure, title)
    losses, scores = figure.subplots(1, 2)
    losses.plot(epochs, [r.train_loss for r in history], "o-", color=GREY, label="training")
    losses.plot(epochs, [r.val_loss for r in history], "s-", color=ORANGE, label="validation")
    losses.set_ylabel("loss")
    losses.set_ylim(0, 1.1 * max(max(r.train_loss, r.val_loss) for r in history))
    scores.plot(epochs, [r.val_accuracy for r in history], "o-", color=GREY, label="accuracy")
    scores.plot(epochs, [r.val_macro_f1 for r in history], "s-", color=BLUE, label="macro F1")
    scores.set_ylabel("validation score")
    scores.set_ylim(0, 1.02)
    scores.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    best = next(record for record in history if record.epoch == best_epoch)
    scores.set_title(f"best macro F1 {best.val_macro_f1:.3f}, epoch {best_epoch:g}", color=BLUE)
    for axes in (losses, scores):
        axes.axvline(best_epoch, color=BLUE, alpha=0.2, linewidth=5, zorder=0)
        axes.set_xlabel("epoch")
        axes.set_xlim(min(epochs) - 0.6, max(epochs) + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))
        axes.grid(axis="y")
        axes.legend(loc="best")
    return figure


def _write_title(figure: Figure, title: str) -> None:
    if title:
        figure.suptitle(drawable(title))
