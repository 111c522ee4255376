"""Several labelled CSVs as one split: read them, and say how much a row of each counts."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from emotion.data.labelled import LabelledTexts
from emotion.data.same_texts import repeats_between
from emotion.errors import UserError
from emotion.labels import LabelSet

log = logging.getLogger(__name__)

Mixing = str | float | dict[str, float]


def read_corpora(
    paths: Mapping[str, str],
    text_column: str,
    label_column: str,
    label_set: LabelSet | None,
    key: str,
    renamed: Mapping[str, str] | None = None,
) -> LabelledTexts:
    """Read and check one or several labelled CSVs of the same classes, and hold their rows together.

    A warning tells how many texts two of them hold with different labels, and which classes one of them lacks.

    Args:
        paths: The CSVs by name, at least one.
        text_column: Name of their column of texts.
        label_column: Name of their column of labels.
        label_set: The classes; None = those of the first CSV.
        key: The config key of the paths, for errors.
        renamed: Names of classes by what the CSVs call them, if that is something else.

    Raises:
        UserError: A CSV cannot be used.
    """
    parts: dict[str, LabelledTexts] = {}
    for name, path in paths.items():
        parts[name] = LabelledTexts.read(path, text_column, label_column, label_set, key, renamed)
        label_set = parts[name].label_set
    if len(parts) > 1:
        _warn(parts)
    return LabelledTexts.joined(parts)


def _warn(parts: Mapping[str, LabelledTexts]) -> None:
    for first, second, repeats in repeats_between(parts):
        if repeats.conflicting.texts:
            log.warning(
                "%s and %s: %d texts are in both with different labels (data.drop_conflicts=true leaves them out)",
                *(parts[first].path, parts[second].path, repeats.conflicting.texts),
            )
    for part in parts.values():
        absent = [name for name, count in part.label_counts().items() if not count]
        if absent:
            log.warning("%s: no row of %s", part.path, ", ".join(absent))


def corpus_weights(data: LabelledTexts, mixing: Mixing) -> np.ndarray | None:
    """Return how much each row counts in the loss, so that each corpus has its share; None = all the same.

    Args:
        data: Rows of one or several CSVs.
        mixing: ``proportional`` = a corpus counts as its rows; ``equal`` = all corpora count the same; a number
            T >= 1 = as the T-th root of its rows (1 = proportional; the more, the more equal); or a positive weight
            for each corpus by its name, to which its share is proportional.

    Returns:
        (rows,), float32, > 0, with a mean of 1.

    Raises:
        UserError: The names of the weights are not those of the corpora.

    Source: the T-th root: Conneau and Lample 2019, arXiv:1901.07291, section 3.1.
    """
    if not data.corpora or mixing in ("proportional", 1):
        return None
    rows = np.bincount(data.corpus_of, minlength=len(data.corpora)).astype(np.float64)
    shares = _shares(rows, [corpus.name for corpus in data.corpora], mixing)
    each = shares / shares.sum() * rows.sum() / np.maximum(rows, 1)
    weights: np.ndarray = each[np.asarray(data.corpus_of)].astype(np.float32)
    return weights


def _shares(rows: np.ndarray, names: Sequence[str], mixing: Mixing) -> np.ndarray:
    if isinstance(mixing, dict):
        if set(mixing) != set(names):
            rule = f"must have a weight for each CSV of data.train ({', '.join(names)})"
            raise UserError(f"data.mixing: {rule}, found {', '.join(mixing)}")
        return np.array([mixing[name] for name in names])
    if mixing == "equal":
        return (rows > 0).astype(np.float64)
    assert isinstance(mixing, float | int)
    found: np.ndarray = rows ** (1 / mixing)
    return found
