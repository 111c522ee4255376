"""Find the same text in several rows, and training rows whose labels such rows contradict.

Two texts are the same if they are equal, character for character, once white space at both ends is stripped. Empty
texts are texts like any other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from emotion.data.labelled import LabelledTexts

MOST_EXAMPLES = 20
"""Texts that are quoted of each finding."""


@dataclass(frozen=True, slots=True)
class SameText:
    """A text that several rows hold."""

    text: str
    labels: dict[str, dict[int, str]]
    """The label of each row that holds it, by the name of the split and the row; the header is row 1."""


@dataclass(frozen=True, slots=True)
class SameTexts:
    """Texts that several rows hold, in the order of their first rows."""

    rows: list[dict[str, list[int]]]
    """Rows of each text, by the name of the split; the header is row 1."""
    examples: list[SameText]
    """The first 20 of them."""

    @property
    def texts(self) -> int:
        """The number of texts."""
        return len(self.rows)

    def row_count(self, split: str) -> int:
        """Count the rows of ``split`` that hold one of the texts."""
        return sum(len(each.get(split, [])) for each in self.rows)


@dataclass(frozen=True, slots=True)
class Repeats:
    """Texts that several rows hold, by whether all these rows have the same label."""

    agreeing: SameTexts
    conflicting: SameTexts


def rows_by_text(texts: Sequence[str]) -> dict[str, list[int]]:
    """Return the places of each text, from 0, in the order of the first ones."""
    found: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        found.setdefault(text.strip(), []).append(place)
    return found


def repeats_within(name: str, split: LabelledTexts) -> Repeats:
    """Find the texts that several rows of a split hold."""
    groups = [{name: places} for places in rows_by_text(split.texts).values() if len(places) > 1]
    return _by_agreement({name: split}, groups)


def repeats_between(splits: Mapping[str, LabelledTexts]) -> Iterator[tuple[str, str, Repeats]]:
    """Yield, for each pair of splits, their names and the texts that both hold."""
    found = {name: rows_by_text(split.texts) for name, split in splits.items()}
    for first, second in combinations(splits, 2):
        shared = [text for text in found[first] if text in found[second]]
        groups = [{first: found[first][text], second: found[second][text]} for text in shared]
        yield first, second, _by_agreement(splits, groups)


def without_conflicts(train: LabelledTexts, *others: LabelledTexts) -> LabelledTexts:
    """Leave out the training rows whose text occurs with another label, in training or in one of ``others``.

    All copies of a text that training holds with different labels are left out, as none is known to be right.
    """
    return train.chosen(sorted(set(range(len(train.texts))) - set(conflicting_places(train, *others))))


def conflicting_places(train: LabelledTexts, *others: LabelledTexts) -> list[int]:
    """Return the places of the rows that :func:`without_conflicts` leaves out, from 0."""
    labels: dict[str, set[int]] = {}
    for split in (train, *others):
        for text, label in zip(split.texts, split.labels, strict=True):
            labels.setdefault(text.strip(), set()).add(label)
    return [place for place, text in enumerate(train.texts) if len(labels[text.strip()]) > 1]


def _by_agreement(splits: Mapping[str, LabelledTexts], groups: list[dict[str, list[int]]]) -> Repeats:
    """Split groups of places, by the name of the split, into those of one label and those of several."""
    agreeing: list[dict[str, list[int]]] = []
    conflicting: list[dict[str, list[int]]] = []
    for group in groups:
        labels = {splits[name].labels[place] for name, places in group.items() for place in places}
        (agreeing if len(labels) == 1 else conflicting).append(group)
    return Repeats(_described(splits, agreeing), _described(splits, conflicting))


def _described(splits: Mapping[str, LabelledTexts], groups: list[dict[str, list[int]]]) -> SameTexts:
    rows = [{name: splits[name].csv_rows(places) for name, places in group.items()} for group in groups]
    return SameTexts(rows, [_example(splits, group) for group in groups[:MOST_EXAMPLES]])


def _example(splits: Mapping[str, LabelledTexts], group: dict[str, list[int]]) -> SameText:
    name, places = next(iter(group.items()))
    labels = {
        name: dict(zip(splits[name].csv_rows(places), splits[name].label_names(places), strict=True))
        for name, places in group.items()
    }
    return SameText(splits[name].texts[places[0]].strip(), labels)
