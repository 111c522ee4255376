"""Measure how far confidences are from the probabilities of being right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion.evaluation.intervals import Interval

BINS = 15
Labels = Sequence[int] | np.ndarray


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of similar confidence."""

    confidence: float
    """Mean."""
    accuracy: float
    rows: int


def reliability_bins(probabilities: np.ndarray, labels: Labels, bins: int = BINS) -> list[ReliabilityBin]:
    """Group the rows by confidence into bins of equally many rows, the lowest confidence first.

    Confidence 1.0 lies in the last bin as any other. (torchmetrics' bins of equal width give it a bin of its own.)

    Args:
        probabilities: (rows, classes), rows sum to 1.
        labels: (rows,), true class indices.
        bins: Number of bins, >= 1; with fewer rows, each row is a bin.
    """
    confidence, right = confidence_and_hits(probabilities, labels)
    order = np.argsort(confidence, kind="stable")
    return [
        ReliabilityBin(float(confidence[rows].mean()), float(right[rows].mean()), len(rows))
        for rows in np.array_split(order, min(_checked(bins), len(order)))
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: Labels, bins: int = BINS) -> float:
    """Average the gap between confidence and accuracy over equal-mass confidence bins.

    Args:
        probabilities: (rows, classes), rows sum to 1.
        labels: (rows,), true class indices.
        bins: Number of bins, >= 1.

    Returns:
        A share in [0, 1]; lower is better. Noise alone makes it larger than 0 (:func:`perfect_calibration_error`).

    Raises:
        ValueError: ``bins`` < 1.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3; bins of equal mass as in Nguyen and O'Connor 2015,
    arXiv:1508.05154.
    """
    confidence, right = _sorted(probabilities, labels)
    return float(_errors(confidence, right[None], bins)[0])


@dataclass(frozen=True, slots=True)
class PerfectCalibration:
    """The calibration error that noise alone gives a perfectly calibrated model on so many rows."""

    mean: float
    high: float
    """95th percentile."""


def perfect_calibration_error(
    probabilities: np.ndarray, bins: int = BINS, *, draws: int = 1_000, seed: int = 0
) -> PerfectCalibration:
    """Simulate the calibration error of a model whose confidences are right with exactly their probability.

    Args:
        probabilities: (rows, classes), rows sum to 1.
        bins: Number of bins, >= 1.
        draws: Number of simulated sets of labels.
        seed: Seed of the draws.
    """
    confidence = np.sort(probabilities.max(axis=1).astype(np.float64))
    rng = np.random.default_rng(seed)
    errors = [
        _errors(confidence, rng.random((block, len(confidence))) < confidence, bins)
        for block in _blocks(draws, len(confidence))
    ]
    found = np.concatenate(errors)
    return PerfectCalibration(float(found.mean()), float(np.quantile(found, 0.95)))


def calibration_error_interval(
    probabilities: np.ndarray, labels: Labels, bins: int, resamples: int = 1_000
) -> Interval:
    """Return the 95 % basic bootstrap interval of the calibration error, from 0 up.

    Resampling adds noise to the gaps, which can only enlarge them; the basic interval turns that bias around, where
    percentiles would add it a second time (Davison and Hinkley 1997, section 5.2).
    """
    confidence, right = _sorted(probabilities, labels)
    rng = np.random.default_rng(0)
    found = float(_errors(confidence, right[None], bins)[0])
    errors = []
    for _ in range(resamples):
        rows = np.sort(rng.integers(len(right), size=len(right)))
        errors.append(_errors(confidence[rows], right[rows][None], bins)[0])
    low, high = np.quantile(errors, [0.025, 0.975])
    return Interval(max(0.0, float(2 * found - high)), max(0.0, float(2 * found - low)))


def _errors(confidence: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """Return the calibration error of each of several sets of labels.

    Args:
        confidence: (rows,), rising.
        right: (sets, rows), bool.
        bins: Number of bins, >= 1.
    """
    sizes = [len(rows) for rows in np.array_split(confidence, min(_checked(bins), len(confidence)))]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    gaps = np.add.reduceat(confidence - right, starts, axis=1)
    errors: np.ndarray = np.abs(gaps).sum(axis=1) / len(confidence)
    return errors


def _sorted(probabilities: np.ndarray, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Return what :func:`confidence_and_hits` does, by rising confidence."""
    confidence, right = confidence_and_hits(probabilities, labels)
    order = np.argsort(confidence, kind="stable")
    return confidence[order], right[order]


def confidence_and_hits(probabilities: np.ndarray, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each predicted class, and whether it is the true one."""
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == np.asarray(labels)


def _blocks(draws: int, rows: int) -> list[int]:
    """Split the draws so that a block's numbers stay within some tens of megabytes."""
    block = max(1, min(draws, 4_000_000 // rows))
    return [min(block, draws - start) for start in range(0, draws, block)]


def _checked(bins: int) -> int:
    if bins < 1:
        raise ValueError(f"need at least one bin, got {bins}")
    return bins
