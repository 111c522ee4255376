"""Measure how far texts are from those that a model was fitted to, and how much less sure it should be of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Self

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from threadpoolctl import ThreadpoolController

SLOPE = 0.5
"""How fast confidence falls with distance. Fitted to validation rows together with a temperature, it would be 0.45 and
0.46 for models of two corpora (dair-ai/emotion and GoEmotions); a constant needs no further fit."""
UNFAMILIAR_QUANTILE = 0.95
"""Share of the rows that a model was fitted to that are nearer than any row that is called unfamiliar."""
FEWEST_ROWS = 100
"""Fewer say too little about what is far."""
_FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """Distances of texts, by their features, from the nearest class.

    The distance is Mahalanobis's, with one covariance for all classes, divided by its median: 1 is the distance of the
    middle row that it was fitted to.

    Source: Lee et al. 2018, arXiv:1807.03888; the covariance's estimate: Ledoit and Wolf 2004,
    doi:10.1016/S0047-259X(03)00096-4.
    """

    whitening: np.ndarray
    """(features, features), float32: after it, the distance is Euclid's."""
    centres: np.ndarray
    """(classes, features), float32: each class's mean, whitened; classes without rows are left out."""
    limit: float
    """Distance beyond which a text is unfamiliar, > 0."""

    @classmethod
    def fit(cls, features: np.ndarray, labels: np.ndarray, seed: int = 0) -> tuple[Self, np.ndarray] | None:
        """Fit the distance to rows that the model did not learn from.

        Args:
            features: (rows, features), float.
            labels: (rows,), true class indices.
            seed: Seed of the folds.

        Returns:
            The fitted distance, and the distance of each row, (rows,), float64, as fitted on the other rows; None for
            fewer than :data:`FEWEST_ROWS` rows, or if features are not finite or differ by the class alone.
        """
        if len(features) < FEWEST_ROWS or not np.isfinite(features).all():
            return None
        try:
            return cls._fit(features, labels, seed)
        except np.linalg.LinAlgError:  # the rows of a class are all the same
            return None

    @classmethod
    def _fit(cls, features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[Self, np.ndarray] | None:
        rows = len(features)
        held_out = np.empty(rows)
        order = np.random.default_rng(seed).permutation(rows)
        for fold in np.array_split(order, _FOLDS):
            others = np.setdiff1d(order, fold, assume_unique=True)
            held_out[fold] = _distances(features[fold], *_fitted(features[others], labels[others]))
        median = float(np.median(held_out))
        if not np.isfinite(held_out).all() or median <= 0:
            return None
        whitening, centres = _fitted(features, labels)
        relative = held_out / median
        limit = float(np.quantile(relative, UNFAMILIAR_QUANTILE))
        return cls((whitening / median).astype(np.float32), (centres / median).astype(np.float32), limit), relative

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return the distance of each row of (rows, features) from the nearest class, (rows,), float64, >= 0."""
        # In the matrices' own precision: to convert them would take longer than a small model takes for a text.
        with _one_thread(), np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
            return _distances(np.asarray(features, dtype=np.float32), self.whitening, self.centres)


def doubt(distances: np.ndarray) -> np.ndarray:
    """Return by what to divide logits at such distances, beside the temperature: (rows,), float64, >= 1."""
    found: np.ndarray = 1 + SLOPE * np.maximum(np.asarray(distances, dtype=np.float64) - 1, 0)
    return found


_limiting = Lock()
"""Two threads that limit at once would restore each other's limit."""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let numpy's products take one thread: its others would go on spinning, in the way of the model's own."""
    with _limiting, _controller().limit(limits=1):
        yield


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def _fitted(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the whitening and the whitened centres of the classes, in float64."""
    values = np.asarray(features, dtype=np.float64)
    classes, place = np.unique(labels, return_inverse=True)
    means = np.stack([values[place == each].mean(axis=0) for each in range(len(classes))])
    precision = LedoitWolf(assume_centered=True).fit(values - means[place]).precision_
    whitening = np.linalg.cholesky((precision + precision.T) / 2)
    return whitening, means @ whitening


def _distances(features: np.ndarray, whitening: np.ndarray, centres: np.ndarray) -> np.ndarray:
    whitened = features @ whitening
    found: np.ndarray = cdist(whitened, centres).min(axis=1)
    return found
