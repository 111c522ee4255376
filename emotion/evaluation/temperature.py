"""Fit and apply a temperature, which turns confidences into probabilities of being right and changes no label."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 100.0
"""Beyond them all probabilities are 0 or 1, or all are equal."""
Labels = Sequence[int] | np.ndarray


def fit_temperature(probabilities: np.ndarray, labels: Labels) -> float:
    """Find the temperature at which the negative log-likelihood of the labels is lowest.

    A weak prior, the standard normal distribution of the temperature's logarithm, counts about as much as one row: it
    decides nothing among hundreds, and keeps a few rows that all are right from making a model sure of everything.

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
        prior = log_temperature**2 / (2 * len(truth))
        return float((normaliser - scaled[rows, truth]).mean() + prior)

    bounds = np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(found.x), LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE))


def apply_temperature(probabilities: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """Return the probabilities, (rows, classes) float64, whose logits are divided by ``temperature``.

    The temperature is one for all rows, or one for each, (rows,). Dividing by its inverse undoes it, except for
    probabilities that were rounded to 0.
    """
    if np.all(temperature == 1):
        return np.asarray(probabilities, dtype=np.float64)
    scaled = _log(probabilities) / (temperature if np.ndim(temperature) == 0 else np.asarray(temperature)[:, None])
    scaled -= scaled.max(axis=1, keepdims=True)
    powers = np.exp(scaled)
    found: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return found


def cross_fitted(
    probabilities: np.ndarray, labels: Labels, doubts: np.ndarray | None = None, folds: int = 5, seed: int = 0
) -> np.ndarray:
    """Calibrate each row by a temperature that was fitted on the other folds, so that no row judges its own fit.

    Args:
        probabilities: (rows, classes), of any temperature.
        labels: (rows,), true class indices.
        doubts: (rows,), by what to divide each row's logits, beside the temperature; None = by 1.
        folds: Number of folds, each with about the same share of every class; at most one a row.
        seed: Seed of the folds.

    Returns:
        (rows, classes), float64; a single row is returned as it is.
    """
    truth = np.asarray(labels)
    doubts = np.ones(len(truth)) if doubts is None else doubts
    if len(truth) < 2:
        return apply_temperature(probabilities, doubts)
    shuffled = np.random.default_rng(seed).permutation(len(truth))
    by_class = shuffled[np.argsort(truth[shuffled], kind="stable")]
    calibrated = np.empty(probabilities.shape)
    for fold in range(min(folds, len(truth))):
        rows = by_class[fold::folds]
        others = np.setdiff1d(by_class, rows, assume_unique=True)
        temperature = fit_temperature(probabilities[others], truth[others])
        calibrated[rows] = apply_temperature(probabilities[rows], temperature * doubts[rows])
    return calibrated


def _log(probabilities: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), np.finfo(np.float64).tiny))
    return found
