"""Find out where a classifier errs: its most confident mistakes, the classes it confuses, and lengths of text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion.evaluation.metrics import evaluate


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row whose predicted class is not its label."""

    place: int
    """Index of the row, from 0."""
    label: int
    predicted: int
    confidence: float
    """Probability of the predicted class."""


def worst_mistakes(labels: Sequence[int], probabilities: np.ndarray, count: int) -> list[Mistake]:
    """Return the ``count`` mistakes of the highest confidence, the highest first.

    Args:
        labels: (rows,), true class indices.
        probabilities: (rows, classes).
        count: At most so many; fewer if there are fewer mistakes.
    """
    truth, predicted, confidence = np.asarray(labels), probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != truth)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    return [Mistake(int(i), int(truth[i]), int(predicted[i]), float(confidence[i])) for i in order]


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Rows of one class that were predicted as another."""

    label: int
    predicted: int
    places: list[int]
    """Indices of the rows, the most confident first."""


def confused_pairs(labels: Sequence[int], probabilities: np.ndarray) -> list[ConfusedPair]:
    """Group all mistakes by true and predicted class, the most frequent pair first."""
    pairs: dict[tuple[int, int], list[int]] = {}
    for mistake in worst_mistakes(labels, probabilities, len(labels)):
        pairs.setdefault((mistake.label, mistake.predicted), []).append(mistake.place)
    found = [ConfusedPair(label, predicted, places) for (label, predicted), places in pairs.items()]
    return sorted(found, key=lambda pair: -len(pair.places))


@dataclass(frozen=True, slots=True)
class LengthBucket:
    """The scores of texts of similar length."""

    shortest: int
    longest: int
    """In words, both included."""
    rows: int
    accuracy: float
    macro_f1: float


def scores_by_length(
    labels: Sequence[int], predictions: Sequence[int], words: Sequence[int], names: Sequence[str], buckets: int = 5
) -> list[LengthBucket]:
    """Score texts in buckets of similar length and about as many rows each, the shortest first.

    Texts of one length share a bucket, so there may be fewer buckets.

    Args:
        labels: (rows,), true class indices in [0, len(names)).
        predictions: (rows,), predicted class indices.
        words: (rows,), the number of words of each text.
        names: The classes' names, in order.
        buckets: At most so many, >= 1.
    """
    truth, predicted, lengths = np.asarray(labels), np.asarray(predictions), np.asarray(words)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, buckets + 1)[1:], method="higher"))
    places = np.searchsorted(edges, lengths)
    found = []
    for bucket in range(len(edges)):
        rows = np.flatnonzero(places == bucket)
        if len(rows):
            scores = evaluate(truth[rows].tolist(), predicted[rows].tolist(), names)
            shortest, longest = int(lengths[rows].min()), int(lengths[rows].max())
            found.append(LengthBucket(shortest, longest, len(rows), scores.accuracy, scores.macro_f1))
    return found
