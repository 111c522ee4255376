"""Choose the texts that the page shows: of each cell of a confusion matrix, and of the mistakes."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import numpy as np

from emotion.article.material import ScoredRows, word_counts
from emotion.evaluation import LengthBucket, confused_pairs, scores_by_length, worst_mistakes

Cell = tuple[int, int]
"""Index of the label, and of the predicted class."""
LONGEST_TEXT = 300
"""Letters of a text that are shown."""
MOST = 20
"""Texts of a cell, and mistakes of a list."""
PAIRS = 10
_COST = 110
"""Bytes of HTML around a text, about."""
_CELL_COST = 220
"""Bytes of HTML around the texts of a cell, about."""
_UNPRINTED = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127], "\N{REPLACEMENT CHARACTER}")
"""Control characters, which HTML does not allow."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and what the model made of it."""

    row: int
    """In the CSV, whose header is row 1."""
    text: str
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Rows of one class that were predicted as another."""

    label: str
    predicted: str
    rows: int
    share: float
    """Of the rows with that label."""
    example: Example


class Evidence:
    """The rows of a model on one CSV, with their texts."""

    def __init__(self, scored: ScoredRows) -> None:
        if scored.texts is None:
            raise ValueError("needs the texts")
        self._rows, self._texts = scored.rows, scored.texts
        self._labels: list[int] = scored.rows.labels.tolist()
        self._predicted = scored.rows.probabilities.argmax(axis=1)

    def by_cell(self) -> dict[Cell, list[int]]:
        """Return up to :data:`MOST` rows of each cell that has any, the most confident first.

        The cells of the most rows come first, so that a limit leaves out the rarest.
        """
        classes, confidence = len(self._rows.names), self._rows.probabilities.max(axis=1)
        cells = self._rows.labels * classes + self._predicted
        order = np.lexsort((-confidence, cells))
        kinds, starts, counts = np.unique(cells[order], return_index=True, return_counts=True)
        return {
            divmod(int(kinds[place]), classes): order[starts[place] :][: min(counts[place], MOST)].tolist()
            for place in np.argsort(-counts, kind="stable")
        }

    def example(self, place: int) -> Example:
        """Return the row at ``place``, counted from 0."""
        names, predicted = self._rows.names, int(self._predicted[place])
        confidence = float(self._rows.probabilities[place, predicted])
        label = names[self._labels[place]]
        return Example(place + 2, shown(self._texts[place]), label, names[predicted], confidence)

    def worst(self) -> list[Example]:
        """Return the most confident mistakes."""
        mistakes = worst_mistakes(self._labels, self._rows.probabilities, MOST)
        return [self.example(each.place) for each in mistakes]

    def pairs(self) -> list[Pair]:
        """Return the most frequent confusions."""
        names, supports = self._rows.names, np.bincount(self._rows.labels, minlength=len(self._rows.names))
        return [
            Pair(
                names[each.label],
                names[each.predicted],
                len(each.places),
                len(each.places) / int(supports[each.label]),
                self.example(each.places[0]),
            )
            for each in confused_pairs(self._labels, self._rows.probabilities)[:PAIRS]
        ]

    def lengths(self) -> list[LengthBucket]:
        """Return scores by length of text."""
        words = word_counts(self._texts).tolist()
        return scores_by_length(self._labels, self._predicted.tolist(), words, self._rows.names)


def within(evidence: Evidence, budget: int) -> tuple[dict[Cell, list[Example]], int]:
    """Take examples of all cells for as long as they fit: first one of each cell, then a second, and so on.

    Args:
        evidence: The rows to take from.
        budget: Bytes of HTML that the examples may have, about.

    Returns:
        Examples by cell, the most confident first, and what is left of the budget.
    """
    taken: dict[Cell, list[Example]] = {}
    for cell, place in _in_turns(evidence.by_cell()):
        example = evidence.example(place)
        cost = len(escape(example.text).encode()) + _COST + (0 if cell in taken else _CELL_COST)
        if cost > budget:
            break
        budget -= cost
        taken.setdefault(cell, []).append(example)
    return taken, budget


def _in_turns(cells: dict[Cell, list[int]]) -> Iterator[tuple[Cell, int]]:
    for rank in range(MOST):
        for cell, places in cells.items():
            if rank < len(places):
                yield cell, places[rank]


def shown(text: str) -> str:
    """Cut a text at :data:`LONGEST_TEXT` letters, and replace what HTML cannot hold."""
    cut = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    return cut.translate(_UNPRINTED)
