"""Texts that are alike, and texts that are not."""

import numpy as np

from emotion.data import LabelledTexts
from emotion.labels import LabelSet


def made_of(letters: str, rows: int, seed: int, words: int = 6) -> list[str]:
    """Return texts of ``words`` letters each."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(list(letters), size=words)) for _ in range(rows)]


def labelled(texts: list[str], label_set: LabelSet) -> LabelledTexts:
    """Return the texts as the rows of a CSV, with all classes in turn."""
    return LabelledTexts(
        "made.csv", "0" * 64, texts, [place % len(label_set) for place in range(len(texts))], label_set
    )
