"""Deal rows into folds, so that each is predicted by a model that learned from the others."""

from collections.abc import Sequence

import numpy as np

from emotion.data.same_texts import rows_by_text
from emotion.errors import UserError


def fold_numbers(texts: Sequence[str], labels: Sequence[int], folds: int, seed: int) -> np.ndarray:
    """Deal rows into folds of about as many rows and the same shares of each class.

    Rows of the same text (:mod:`emotion.data.same_texts`) are in one fold: a model that had learned a copy would know
    the answer. A class with fewer texts than folds is in as many folds as it has texts.

    Args:
        texts: (rows,).
        labels: (rows,), class indices.
        folds: Number of folds, >= 2; fewer if there are fewer distinct texts.
        seed: Seed of the dealing.

    Returns:
        (rows,), int64 in [0, folds).

    Raises:
        UserError: There are fewer than two distinct texts, or fewer than two folds.
    """
    if folds < 2:
        raise UserError(f"folds: must be >= 2, found {folds}")
    groups = list(rows_by_text(texts).values())
    if len(groups) < 2:
        raise UserError(f"data.train: must have two different texts to deal into folds, found {len(groups)}")
    first = np.array([labels[rows[0]] for rows in groups])
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    by_class = shuffled[np.argsort(first[shuffled], kind="stable")]
    numbers = np.empty(len(texts), dtype=np.int64)
    for place, group in enumerate(by_class):
        numbers[groups[group]] = place % folds
    return numbers
