"""Test whether two classifiers differ by more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import stats

from emotion.evaluation.intervals import RESAMPLES, Interval, f1_scores, percentile_interval, resampled_cells

Labels = Sequence[int] | np.ndarray


def mcnemar_p(labels: Labels, first: Labels, second: Labels) -> float:
    """Compute the exact two-sided p-value of McNemar's test that both classifiers err equally often.

    Only rows that exactly one of them gets right count; under the null hypothesis, each is equally likely to be right.

    Args:
        labels: (rows,), the truth.
        first: (rows,), one classifier's labels.
        second: (rows,), the other's.

    Returns:
        The p-value in [0, 1]; 1 if they are right on the same rows.

    Raises:
        ValueError: The lengths differ.

    Source: McNemar 1947, doi:10.1007/BF02295996; the binomial form, as advised for few discordant rows.
    """
    truth, one, other = map(np.asarray, (labels, first, second))
    if not len(truth) == len(one) == len(other):
        raise ValueError(f"need labels of the same rows, got {len(truth)}, {len(one)} and {len(other)}")
    only_first = int(((one == truth) & (other != truth)).sum())
    only_second = int(((one != truth) & (other == truth)).sum())
    discordant = only_first + only_second
    return float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests, so that all of them together err with the level of one.

    Source: Holm 1979, jstor.org/stable/4615733. statsmodels has it too, but is a large dependency for three lines.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values)[order]), 1.0)
    return [float(each) for each in adjusted]


@dataclass(frozen=True, slots=True)
class MacroF1Difference:
    """How much higher one classifier's macro F1 is than another's, on the same rows."""

    difference: float
    interval: Interval
    standard_error: float
    """Standard deviation of the difference over resamples."""

    @property
    def p_value(self) -> float:
        """Two-sided p-value of no difference, by the normal approximation; 1 if nothing differs."""
        if self.standard_error == 0:
            return 1.0
        return float(2 * stats.norm.sf(abs(self.difference) / self.standard_error))


def paired_bootstrap(
    labels: Labels,
    first: Labels | Sequence[Labels],
    second: Labels | Sequence[Labels],
    classes: int,
    *,
    resamples: int = RESAMPLES,
    stratified: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
) -> MacroF1Difference:
    """Compute the macro F1 of ``first`` minus that of ``second``, with its percentile bootstrap interval.

    Each resample draws the same rows for both, so what makes rows hard for both cancels out.

    Args:
        labels: (rows,), true class indices in [0, classes), at least one.
        first: (rows,), one classifier's class indices; or (runs, rows), of several runs of it, whose mean macro F1
            counts.
        second: The other's, likewise.
        classes: Number of classes.
        resamples: Number of resamples.
        stratified: Whether each resample has as many rows of each true class as the data.
        confidence: Share of intervals that hold the true difference, in (0, 1).
        seed: Seed of the resamples.
    """
    truth, one, other = map(np.asarray, (labels, first, second))
    answers = np.vstack([truth, np.atleast_2d(one), np.atleast_2d(other)])
    cells, kinds, counts = np.unique(answers, axis=1, return_inverse=True, return_counts=True)
    runs = len(np.atleast_2d(one))
    differences = np.concatenate(
        [
            _difference(cells, drawn, runs, classes)
            for _, drawn in resampled_cells(kinds, truth, classes, resamples, stratified, seed)
        ]
    )
    return MacroF1Difference(
        difference=float(_difference(cells, counts[None], runs, classes)[0]),
        interval=percentile_interval(differences, confidence),
        standard_error=float(differences.std()),
    )


def _difference(cells: np.ndarray, drawn: np.ndarray, runs: int, classes: int) -> np.ndarray:
    """Return each resample's macro F1 of the first classifier minus the second's, (resamples,).

    Args:
        cells: (1 + all runs, cells): the true class of each cell, and what each run of the first, then of the second
            says.
        drawn: (resamples, cells), counts.
        runs: Number of the first's.
        classes: Number of classes.
    """
    scores = [f1_scores(drawn, cells[0], predicted, classes)[1] for predicted in cells[1:]]
    difference: np.ndarray = np.mean(scores[:runs], axis=0) - np.mean(scores[runs:], axis=0)
    return difference


def rows_needed(
    difference: float, standard_error: float, rows: int, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Estimate the rows at which a difference of this size would be found; None if there is no difference.

    The standard error shrinks with the square root of the rows. The estimate takes the difference that was found for
    the true one, so it is rough.

    Args:
        difference: Of two scores.
        standard_error: Of the difference, on ``rows`` rows.
        rows: Number of rows, >= 1.
        alpha: Level of the two-sided test.
        power: Share of data sets on which it should find the difference.
    """
    if difference == 0:
        return None
    reach = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    return max(1, ceil(rows * (reach * standard_error / difference) ** 2))
