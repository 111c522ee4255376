"""Make CSVs for the sides: draw training texts, or make texts of their words in any number and length."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from emotion.data import LabelledTexts


def draw(data: LabelledTexts, rows: int, seed: int) -> list[tuple[str, int]]:
    """Draw ``rows`` different rows of the CSV at random, or all if it has fewer."""
    chosen = np.random.default_rng(seed).permutation(len(data.texts))[:rows]
    return [(data.texts[index], data.labels[index]) for index in chosen]


def made_up(data: LabelledTexts, rows: int, seed: int, words: int | None = None) -> Iterator[tuple[str, int]]:
    """Yield rows of random words of the CSV: as long as its texts are, or of ``words`` words each.

    Unlike the CSV's own texts, any number can be made without repeats, which would be predicted only once.
    """
    rng = np.random.default_rng(seed)
    vocabulary = np.array([word for text in data.texts for word in text.split()], dtype=object)
    lengths = np.array([max(len(text.split()), 1) for text in data.texts])
    for index in rng.integers(len(data.texts), size=rows):
        yield " ".join(rng.choice(vocabulary, words or lengths[index])), data.labels[index]


def write(rows: Iterable[tuple[str, int]], path: Path, columns: tuple[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
