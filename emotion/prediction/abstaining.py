"""Mark the rows that a model is not confident enough about."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from emotion.evaluation import Evaluation, evaluate
from emotion.labels import LabelSet

ABSTAINED = "abstained"
"""Column that says whether a row's confidence is below ``min_confidence``; written if that is given."""


def is_below(probabilities: Tensor, min_confidence: float) -> np.ndarray:
    """Return for each row whether its confidence, as it is written, is below ``min_confidence``.

    Args:
        probabilities: (rows, classes), float32; the largest of a row, in six places, is its confidence.
        min_confidence: In [0, 1].

    Returns:
        (rows,), bool.
    """
    written = probabilities.max(dim=-1).values.numpy().round(6)
    below: np.ndarray = written < np.float32(min_confidence)  # 0.9 in float32 is less than 0.9 in float64
    return below


def evaluate_answered(
    truth: Sequence[int | None], labels: Sequence[int], abstained: Sequence[bool], label_set: LabelSet
) -> Evaluation | None:
    """Score the rows that did not abstain; None if no row did, or all did.

    Args:
        truth: (rows,), true class indices, all of them known.
        labels: (rows,), predicted class indices.
        abstained: (rows,), or empty if no row can abstain.
        label_set: The classes.
    """
    if not any(abstained) or all(abstained):
        return None
    known = [label for label in truth if label is not None]
    answered = [place for place, is_abstained in enumerate(abstained) if not is_abstained]
    return evaluate([known[place] for place in answered], [labels[place] for place in answered], label_set.names)
