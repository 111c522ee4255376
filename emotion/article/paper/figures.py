"""Choose the figures of an article from the material of an output folder."""

from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib.figure import Figure

from emotion.article.material import Material
from emotion.reporting import (
    VALIDATION,
    comparison_figure,
    confusion_matrix_figure,
    frontier_figure,
    reliability_figure,
    risk_coverage_figure,
    scores_figure,
    training_curves_figure,
)

_MOST_LINES = 7
"""Models in one figure of lines."""


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """A figure without a heading, and its caption."""

    name: str
    """Of the files and, behind ``fig:``, of the label."""
    caption: str
    """Plain text."""
    figure: Figure


def paper_figures(material: Material) -> Iterator[PaperFigure]:
    """Draw all figures for which there is material, one at a time."""
    best = material.best
    for data in material.sets:
        models = material.scores_on(data)
        caption = f"Macro F1 on {data}, with 95 % bootstrap intervals over rows; diamonds are baselines."
        figure = scores_figure({**models, **material.baselines_on(data)}, len(models))
        yield PaperFigure(f"macro-f1-{data}", caption, figure)
    for data, record in best.records.items():
        caption = f"{best.name} on {data}: share of each class (row) that was predicted as each class, and rows."
        figure = confusion_matrix_figure(record.confusion_matrix, best.labels.names, "", best.labels.colours)
        yield PaperFigure(f"confusion-{data}", caption, figure)
    for name, model in material.models.items():
        if model.entry.history:
            caption = f"Training of {name}; the bar marks the epoch that validation chose."
            yield PaperFigure(
                f"training-{name}", caption, training_curves_figure(model.entry.history, model.entry.best_epoch)
            )
    for data, record in best.records.items():
        if record.calibration is not None:
            caption = f"Reliability of {best.name} on {data}, in bins of equal numbers of rows. ECE: expected"
            caption += " calibration error, with its 95 % interval, corrected for noise."
            yield PaperFigure(f"reliability-{data}", caption, reliability_figure(record.calibration))
    found = {name: each.entry.calibration for name, each in material.models.items() if each.entry.calibration}
    if found:
        shown = dict(list(found.items())[:_MOST_LINES])
        caption = f"Errors on {VALIDATION} if only the most confident rows are answered."
        yield PaperFigure("risk-coverage", caption, risk_coverage_figure(shown))
    if material.compression is not None:
        caption = f"{material.compression.model_name} compressed: size, speed and macro F1 with its 95 % interval."
        yield PaperFigure("compression", caption, comparison_figure(material.compression, title=""))
        caption = "Macro F1 of compressed models over size and speed, with the 95 % interval of the paired difference."
        yield PaperFigure("pareto-frontier", caption, frontier_figure(material.compression, title=""))
