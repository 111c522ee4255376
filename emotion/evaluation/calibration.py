"""Describe a model's calibration: whether its confidences are the probabilities of being right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion.evaluation.calibration_error import (
    BINS,
    PerfectCalibration,
    ReliabilityBin,
    calibration_error_interval,
    confidence_and_hits,
    expected_calibration_error,
    perfect_calibration_error,
    reliability_bins,
)
from emotion.evaluation.intervals import Interval

_LEAST = 1e-12
"""Probabilities below it count as it, so that a wrong prediction without any doubt has a finite loss."""
_MOST_POINTS = 100
Labels = Sequence[int] | np.ndarray


def brier_score(probabilities: np.ndarray, labels: Labels) -> float:
    """Average the squared distance of the probabilities from the truth, summed over classes: in [0, 2].

    Lower is better.

    Source: Brier 1950.
    """
    truth = np.eye(probabilities.shape[1])[np.asarray(labels)]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def negative_log_likelihood(probabilities: np.ndarray, labels: Labels) -> float:
    """Average the negative logarithm of the true class's probability, which counts as 1e-12 if it is lower."""
    truth = np.asarray(labels)
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], _LEAST)).mean())


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The error rate of the rows that are answered, if the least confident ones are not."""

    coverage: list[float]
    """Shares of rows that are answered, rising to 1; at most 100."""
    risk: list[float]
    """Error rate among them."""
    area: float
    """Mean risk over all coverages (AURC); lower is better."""


def risk_coverage(probabilities: np.ndarray, labels: Labels) -> RiskCoverage:
    """Compute the error rate at each share of rows, the most confident first; equal confidences are answered together.

    Args:
        probabilities: (rows, classes), rows sum to 1.
        labels: (rows,), true class indices.

    Source: El-Yaniv and Wiener 2010, jmlr.org/papers/v11/el-yaniv10a.html; the area: Geifman et al. 2019,
    arXiv:1805.08206.
    """
    confidence, right = confidence_and_hits(probabilities, labels)
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    answered = np.arange(1, len(order) + 1)
    last_of_equals = np.append(np.flatnonzero(np.diff(ranked)), len(order) - 1)
    errors = np.cumsum(~right[order])[last_of_equals]
    answered = answered[last_of_equals]
    risk = errors / answered
    area = float(np.repeat(risk, np.diff(answered, prepend=0)).mean())
    shown = np.unique(np.linspace(0, len(answered) - 1, min(_MOST_POINTS, len(answered))).round().astype(int))
    coverage = answered[shown] / len(order)
    return RiskCoverage(coverage.tolist(), risk[shown].tolist(), area)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well a model is calibrated, without and with its temperature."""

    temperature: float
    rows: int
    bins: int
    cross_fitted: bool
    """Whether the temperature was fitted on these rows, so that "after" is estimated by cross-fitting."""
    ece_before: float
    ece_after: float
    ece_interval: Interval
    """Of ``ece_after``, over rows."""
    ece_perfect: PerfectCalibration
    brier_before: float
    brier_after: float
    nll_before: float
    nll_after: float
    reliability: list[ReliabilityBin]
    """After."""
    risk_coverage: RiskCoverage
    """After."""


def calibration_of(
    before: np.ndarray, after: np.ndarray, labels: Labels, temperature: float, cross_fitted: bool, bins: int = BINS
) -> Calibration:
    """Describe the calibration of a model.

    Args:
        before: (rows, classes), its probabilities without its temperature.
        after: (rows, classes), those to judge.
        labels: (rows,), true class indices.
        temperature: The model's.
        cross_fitted: Whether ``after`` comes from :func:`cross_fitted`.
        bins: Number of bins, >= 1.
    """
    return Calibration(
        temperature=temperature,
        rows=len(labels),
        bins=bins,
        cross_fitted=cross_fitted,
        ece_before=expected_calibration_error(before, labels, bins),
        ece_after=expected_calibration_error(after, labels, bins),
        ece_interval=calibration_error_interval(after, labels, bins),
        ece_perfect=perfect_calibration_error(after, bins),
        brier_before=brier_score(before, labels),
        brier_after=brier_score(after, labels),
        nll_before=negative_log_likelihood(before, labels),
        nll_after=negative_log_likelihood(after, labels),
        reliability=reliability_bins(after, labels, bins),
        risk_coverage=risk_coverage(after, labels),
    )
