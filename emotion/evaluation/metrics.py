"""Compute accuracy, F1 scores and confusion matrices."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score
from torchmetrics.functional.classification import multiclass_confusion_matrix


def classification_metrics(classes: int) -> MetricCollection:
    """Build the metrics of training.

    They are ``accuracy`` (all rows alike), ``macro_f1`` (all classes alike) and ``confusion_matrix`` (rows = truth).
    """
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "macro_f1": MulticlassF1Score(classes, average="macro"),
            "confusion_matrix": MulticlassConfusionMatrix(classes),
        }
    )


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of one class, each in [0, 1] and 0 where it is undefined."""

    precision: float
    recall: float
    f1: float
    support: int
    """Rows whose true label is this class."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of predictions against the truth."""

    accuracy: float
    macro_f1: float
    """Mean F1 of the classes that occur in truth or predictions."""
    per_class: dict[str, ClassScores]
    confusion_matrix: list[list[int]]
    """Rows = truth, columns = prediction."""


def evaluate(labels: Sequence[int], predictions: Sequence[int], names: Sequence[str]) -> Evaluation:
    """Score predictions against the truth.

    Args:
        labels: (rows,), true class indices in [0, len(names)).
        predictions: (rows,), predicted class indices in [0, len(names)).
        names: The classes' names, in order.

    Raises:
        ValueError: The lengths differ, or there are no rows.
    """
    if len(labels) != len(predictions) or not labels:
        raise ValueError(f"need as many predictions as labels, at least one; got {len(predictions)} and {len(labels)}")
    confusion = multiclass_confusion_matrix(torch.tensor(predictions), torch.tensor(labels), len(names)).double()
    hits, truth, predicted = confusion.diag(), confusion.sum(1), confusion.sum(0)
    precision, recall = _ratio(hits, predicted), _ratio(hits, truth)
    f1 = _ratio(2 * hits, truth + predicted)
    occurs = truth + predicted > 0
    columns = zip(precision.tolist(), recall.tolist(), f1.tolist(), truth.long().tolist(), strict=True)
    return Evaluation(
        accuracy=(hits.sum() / confusion.sum()).item(),
        macro_f1=f1[occurs].mean().item(),
        per_class={name: ClassScores(*scores) for name, scores in zip(names, columns, strict=True)},
        confusion_matrix=confusion.long().tolist(),
    )


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / denominator.clamp(min=1), 0.0)
