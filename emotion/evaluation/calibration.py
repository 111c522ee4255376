"""Measure and improve calibration: whether confidences are the probabilities of being right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from emotion.evaluation.intervals import Interval

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 100.0
"""Beyond them all probabilities are 0 or 1, or all are equal."""
BINS = 15
_LEAST = 1e-12
"""Probabilities below it count as it, so that a wrong prediction without any doubt has a finite loss."""
_MOST_POINTS = 100
Labels = Sequence[int] | np.ndarray


def fit_temperature(probabilities: np.ndarray, labels: Labels) -> float:
    """Find the temperature at which the negative log-likelihood of the labels is lowest.

    Args:
        probabilities: (rows, classes), of any temperature; rows sum to 1.
        labels: (rows,), true class indices.

    Returns:
        The factor by which to divide the logits, in [:data:`LOWEST_TEMPERATURE`, :data:`HIGHEST_TEMPERATURE`].

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    logs, truth = _log(probabilities), np.asarray(labels)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = logs * np.exp(-log_temperature)
        highest = scaled.max(axis=1)
        normaliser = highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
        return float((normaliser - scaled[rows, truth]).mean())

    bounds = np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(found.x), LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities, (rows, classes) float64, whose logits are divided by ``temperature``.

    Dividing by its inverse undoes it, except for probabilities that were rounded to 0.
    """
    if temperature == 1:
        return np.asarray(probabilities, dtype=np.float64)
    scaled = _log(probabilities) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    powers = np.exp(scaled)
    found: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return found


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
    confidence, right = _confidence(probabilities, labels)
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
    confidence, right = _confidence(probabilities, labels)
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


def cross_fitted(probabilities: np.ndarray, labels: Labels, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Calibrate each row by a temperature that was fitted on the other folds, so that no row judges its own fit.

    Args:
        probabilities: (rows, classes), of any temperature.
        labels: (rows,), true class indices.
        folds: Number of folds, each with about the same share of every class; at most one a row.
        seed: Seed of the folds.

    Returns:
        (rows, classes), float64; a single row is returned as it is.
    """
    truth = np.asarray(labels)
    if len(truth) < 2:
        return np.asarray(probabilities, dtype=np.float64)
    shuffled = np.random.default_rng(seed).permutation(len(truth))
    by_class = shuffled[np.argsort(truth[shuffled], kind="stable")]
    calibrated = np.empty(probabilities.shape)
    for fold in range(min(folds, len(truth))):
        rows = by_class[fold::folds]
        others = np.setdiff1d(by_class, rows, assume_unique=True)
        temperature = fit_temperature(probabilities[others], truth[others])
        calibrated[rows] = apply_temperature(probabilities[rows], temperature)
    return calibrated


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
        ece_interval=_error_interval(after, labels, bins),
        ece_perfect=perfect_calibration_error(after, bins),
        brier_before=brier_score(before, labels),
        brier_after=brier_score(after, labels),
        nll_before=negative_log_likelihood(before, labels),
        nll_after=negative_log_likelihood(after, labels),
        reliability=reliability_bins(after, labels, bins),
        risk_coverage=risk_coverage(after, labels),
    )


def _error_interval(probabilities: np.ndarray, labels: Labels, bins: int, resamples: int = 1_000) -> Interval:
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
    """Return what :func:`_confidence` does, by rising confidence."""
    confidence, right = _confidence(probabilities, labels)
    order = np.argsort(confidence, kind="stable")
    return confidence[order], right[order]


def _confidence(probabilities: np.ndarray, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each predicted class, and whether it is the true one."""
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == np.asarray(labels)


def _log(probabilities: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), np.finfo(np.float64).tiny))
    return found


def _blocks(draws: int, rows: int) -> list[int]:
    """Split the draws so that a block's numbers stay within some tens of megabytes."""
    block = max(1, min(draws, 4_000_000 // rows))
    return [min(block, draws - start) for start in range(0, draws, block)]


def _checked(bins: int) -> int:
    if bins < 1:
        raise ValueError(f"need at least one bin, got {bins}")
    return bins
