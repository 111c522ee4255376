"""Confidence intervals of scores, by the bootstrap over rows, and of their mean over seeds.

A resample of the rows is a multinomial draw of the cells of the confusion matrix, so the rows themselves need not be
drawn: the cost does not grow with them. ``scipy.stats.bootstrap`` draws rows by index, a hundred million of them for
10,000 resamples of 10,000 rows, and cannot keep the classes' sizes (strata).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 10_000
_BLOCK_CELLS = 4_000_000
"""Counts of a block of resamples, 8 bytes each."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval that holds the true value with some confidence, 95 % unless stated."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ScoreIntervals:
    """Intervals of the scores that :class:`~emotion.evaluation.metrics.Evaluation` has."""

    accuracy: Interval
    macro_f1: Interval
    per_class_f1: dict[str, Interval]


def bootstrap_intervals(
    labels: Sequence[int] | np.ndarray,
    predictions: Sequence[int] | np.ndarray,
    names: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    stratified: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
) -> ScoreIntervals:
    """Compute percentile bootstrap intervals of accuracy, macro F1 and each class's F1.

    Args:
        labels: (rows,), true class indices in [0, len(names)), at least one.
        predictions: (rows,), predicted class indices.
        names: The classes' names, in order.
        resamples: Number of resamples; 10,000 make the ends accurate to about a twentieth of the interval.
        stratified: Whether each resample has as many rows of each true class as the data.
        confidence: Share of intervals that hold the true value, in (0, 1).
        seed: Seed of the resamples.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    classes = len(names)
    truth, predicted = np.asarray(labels), np.asarray(predictions)
    accuracies, macro_f1s, f1s = [], [], []
    for counts in resampled_cells(truth * classes + predicted, truth, classes, resamples, stratified, seed):
        cells, drawn = counts
        label, prediction = np.divmod(cells, classes)
        accuracies.append(drawn[:, label == prediction].sum(axis=1) / len(truth))
        f1, macro_f1 = f1_scores(drawn, label, prediction, classes)
        f1s.append(f1)
        macro_f1s.append(macro_f1)
    per_class = np.concatenate(f1s)
    return ScoreIntervals(
        accuracy=percentile_interval(np.concatenate(accuracies), confidence),
        macro_f1=percentile_interval(np.concatenate(macro_f1s), confidence),
        per_class_f1={name: percentile_interval(per_class[:, i], confidence) for i, name in enumerate(names)},
    )


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Compute the interval of the mean over seeds by Student's t, within [0, 1]; None for fewer than two values.

    Args:
        values: A score in [0, 1] for each seed.
        confidence: Share of intervals that hold the true mean, in (0, 1).
    """
    if len(values) < 2:
        return None
    reach = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    middle = float(np.mean(values))
    return Interval(max(0.0, float(middle - reach)), min(1.0, float(middle + reach)))


def resampled_cells(
    cell_of_row: np.ndarray, stratum_of_row: np.ndarray, strata: int, resamples: int, stratified: bool, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw resamples of rows as counts of the cells that the rows lie in.

    Args:
        cell_of_row: (rows,), int: a number for each kind of row.
        stratum_of_row: (rows,), int in [0, strata): each cell lies in one stratum.
        strata: Number of strata.
        resamples: Number of resamples.
        stratified: Whether the strata keep their sizes.
        seed: Seed of the draws.

    Yields:
        The cells that occur, (cells,), and a block of resamples' counts, (block, cells), int64.
    """
    rng = np.random.default_rng(seed)
    cells, first, counts = np.unique(cell_of_row, return_index=True, return_counts=True)
    stratum = stratum_of_row[first] if stratified else np.zeros(len(cells), dtype=np.int64)
    block = max(1, _BLOCK_CELLS // len(cells))
    for start in range(0, resamples, block):
        drawn = np.empty((min(block, resamples - start), len(cells)), dtype=np.int64)
        for each in range(strata if stratified else 1):
            inside = stratum == each
            if inside.any():
                rows = counts[inside].sum()
                drawn[:, inside] = rng.multinomial(rows, counts[inside] / rows, size=len(drawn))
        yield cells, drawn


def f1_scores(
    drawn: np.ndarray, label: np.ndarray, prediction: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute each resample's F1 of each class, and its macro F1 over the classes that occur in it.

    Args:
        drawn: (resamples, cells), counts.
        label: (cells,), the true class of each cell.
        prediction: (cells,), the predicted class of each cell.
        classes: Number of classes.

    Returns:
        (resamples, classes), 0 where undefined, and (resamples,).
    """
    eye, counts = np.eye(classes), drawn.astype(np.float64)  # exact, and much faster to multiply than integers
    truth, predicted = counts @ eye[label], counts @ eye[prediction]
    hits = counts @ (eye[label] * (label == prediction)[:, None])
    total = truth + predicted
    f1 = 2 * hits / np.maximum(total, 1)
    return f1, f1.sum(axis=1) / (total > 0).sum(axis=1)


def percentile_interval(values: np.ndarray, confidence: float) -> Interval:
    """Return the interval that leaves equal shares of ``values`` out at both ends."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
