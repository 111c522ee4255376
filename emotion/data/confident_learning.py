"""Find rows whose label is probably wrong, by confident learning, from probabilities of models that did not see them.

Source: Northcutt, Jiang and Chuang 2021, Confident Learning, arXiv:1911.00068, sections 3.1 and 3.2. Rows are pruned by
noise rate; as in the authors' package cleanlab 2, a row is never suspected if its label is the likeliest. Unlike there,
a class of which the joint keeps no row gets back the count that most of its rows went to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDING = 1e-6
"""A probability that misses its threshold by less reaches it."""
_NEVER = 2.0
"""Threshold of a class that no row has: above any probability."""


@dataclass(frozen=True, slots=True)
class SuspectLabel:
    """A row whose label is probably wrong."""

    row: int
    """Place of the row, from 0."""
    label: int
    suggested: int
    """The class of the highest probability."""
    self_confidence: float
    """Probability of ``label``, in [0, 1]."""


def suspect_labels(probabilities: np.ndarray, labels: Sequence[int]) -> list[SuspectLabel]:
    """Find the rows whose label is probably wrong, those of the lowest self-confidence first.

    Args:
        probabilities: (rows, classes), of a model that did not learn from the row itself; calibrated; rows sum to 1.
        labels: (rows,), class indices in [0, classes).
    """
    given = np.asarray(labels, dtype=np.int64)
    own = probabilities[np.arange(len(given)), given]
    predicted = probabilities.argmax(axis=1)
    suspected = np.zeros(len(given), dtype=bool)
    mistakes = _keeping_one_of_each_class(confident_joint(probabilities, given))
    for label, true in np.argwhere(mistakes > 0):
        if label == true:
            continue
        rows = np.flatnonzero(given == label)
        if len(rows) < 2:  # a class keeps its last row
            continue
        margin = probabilities[rows, true] - own[rows]
        widest = np.argsort(-margin, kind="stable")
        suspected[rows[widest[: mistakes[label, true]]]] = True
    suspected &= predicted != given
    found = np.flatnonzero(suspected)
    order = found[np.argsort(own[found], kind="stable")]
    return [SuspectLabel(int(row), int(given[row]), int(predicted[row]), float(own[row])) for row in order]


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Estimate how many rows of each label belong to each class.

    A row counts for a class if its probability reaches the class's mean over the rows that are labelled so; for the
    likeliest one if it reaches several. The counts of each label are then scaled to the number of its rows.

    Args:
        probabilities: (rows, classes).
        labels: (rows,), class indices.

    Returns:
        (classes, classes), int64: rows = labels, columns = estimated true classes; a row sums to the label's rows.
    """
    classes = probabilities.shape[1]
    sizes = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=classes)
    thresholds = np.divide(sums, sizes, out=np.full(classes, _NEVER), where=sizes > 0)
    reached = probabilities >= thresholds - _ROUNDING
    counted = reached.any(axis=1)
    several = reached.sum(axis=1) > 1
    true = np.where(several, probabilities.argmax(axis=1), reached.argmax(axis=1))
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels[counted], true[counted]), 1)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1))
    scaled = counts / counts.sum(axis=1, keepdims=True) * sizes[:, None]
    return np.stack([_rounded(row) for row in scaled])


def _keeping_one_of_each_class(joint: np.ndarray) -> np.ndarray:
    """Move a count from a label's largest other class where no row of it would be left."""
    kept = joint.copy()
    for label in np.flatnonzero((joint.diagonal() < 1) & (joint.sum(axis=1) > 0)):
        kept[label, kept[label].argmax()] -= 1
        kept[label, label] += 1
    return kept


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round to whole numbers of the same sum, which is one; those that rounding moved furthest give way.

    Which of equal ones gives way is arbitrary, but always the same.
    """
    whole: np.ndarray = np.rint(values).astype(np.int64)
    surplus = int(whole.sum() - np.rint(values.sum()))
    too_low = np.argsort(values - whole, kind="stable")  # from the one that was raised most
    if surplus > 0:
        whole[too_low[:surplus]] -= 1
    elif surplus < 0:
        whole[too_low[surplus:]] += 1
    return whole
