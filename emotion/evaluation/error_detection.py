"""Measure how well a number tells rows of one kind from rows of another, such as wrong labels from right ones."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from emotion.evaluation.intervals import Interval, percentile_interval

_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class ErrorDetection:
    """How well confidence tells wrong labels from right ones, as an AUROC: 0.5 = by chance, 1 = always."""

    auroc: float
    by_temperature: float
    """The same by the confidence that the temperature alone gives, without the distance."""
    difference: Interval
    """95 % bootstrap interval, over rows, of the first minus the second."""


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Compute the share of pairs of a positive and a negative row in which the positive one has the higher score.

    Args:
        scores: (rows,), float; a tie counts half.
        positive: (rows,), bool; some are, and some are not.

    Source: Mann and Whitney 1947; Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    above = int(positive.sum())
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - above * (above + 1) / 2) / (above * (len(scores) - above)))


def error_detection(
    labels: np.ndarray, probabilities: np.ndarray, by_temperature: np.ndarray, seed: int = 0
) -> ErrorDetection | None:
    """Compare how well two confidences in the same labels tell the wrong ones; None if all are wrong, or none is.

    Args:
        labels: (rows,), true class indices.
        probabilities: (rows, classes), of the model as it is.
        by_temperature: (rows, classes), without what distances change; the same classes are the most probable.
        seed: Seed of the resamples.
    """
    wrong = probabilities.argmax(axis=1) != labels
    if wrong.all() or not wrong.any():
        return None
    first, second = (-each.max(axis=1) for each in (probabilities, by_temperature))
    rng = np.random.default_rng(seed)
    right_rows, wrong_rows = np.flatnonzero(~wrong), np.flatnonzero(wrong)
    differences = np.empty(_RESAMPLES)
    for place in range(_RESAMPLES):
        drawn = np.concatenate([rng.choice(right_rows, len(right_rows)), rng.choice(wrong_rows, len(wrong_rows))])
        differences[place] = auroc(first[drawn], wrong[drawn]) - auroc(second[drawn], wrong[drawn])
    return ErrorDetection(auroc(first, wrong), auroc(second, wrong), percentile_interval(differences, 0.95))
