"""Audit labelled CSVs: what of their rows would mislead a training or its scores."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emotion.data.characters import Words, character_kinds, describe_words, scripts, word_counts
from emotion.data.labelled import LabelledTexts
from emotion.data.same_texts import Repeats, conflicting_places, repeats_between, repeats_within

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True, slots=True)
class LongTexts:
    """Texts of which a model would not read the end."""

    unit: Literal["words", "tokens"]
    """What was counted: ``tokens`` where a tokenizer was at hand."""
    limit: int
    """A text with more is long."""
    rows: list[int]
    """The header is row 1."""
    longest_words: int
    """Words of the longest text, between white space."""
    median_words: float


@dataclass(frozen=True, slots=True)
class SplitAudit:
    """What was found in one split."""

    rows: int
    label_counts: dict[str, int]
    """Rows of each class, by its name."""
    empty_rows: list[int]
    """Rows without text; the header is row 1."""
    long_texts: LongTexts
    repeats: Repeats
    """Texts that the split holds more than once."""
    character_kinds: dict[str, int]
    """Rows with a character of each kind."""
    scripts: dict[str, int]
    """Rows with a letter of each script."""
    words: Words


@dataclass(frozen=True, slots=True)
class Overlap:
    """Texts that two splits hold."""

    first: str
    second: str
    repeats: Repeats


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in all splits."""

    splits: dict[str, SplitAudit]
    overlaps: list[Overlap]
    """Every pair of splits, also those that share nothing."""
    dropped_rows: list[int]
    """Training rows that ``data.drop_conflicts=true`` leaves out; the header is row 1."""


def audit_splits(splits: Mapping[str, LabelledTexts], limit: int, cut: Mapping[str, np.ndarray] | None = None) -> Audit:
    """Audit labelled CSVs of the same classes.

    Args:
        splits: CSVs by name; ``train`` must be among them.
        limit: Words between white space that a text may have before it is long; each is at least a token.
        cut: For each split, (rows,) bool: whether a tokenizer counts more than ``limit`` tokens; replaces the words.
    """
    train = splits[TRAIN]
    known = word_counts(train.texts)
    judges = [splits[VALIDATION]] if VALIDATION in splits else []
    found = {}
    for name, split in splits.items():
        long_texts = _long_texts(split, limit, None if cut is None else cut[name])
        found[name] = _audit_split(name, split, long_texts, None if name == TRAIN else known)
    return Audit(
        splits=found,
        overlaps=[Overlap(first, second, repeats) for first, second, repeats in repeats_between(splits)],
        dropped_rows=train.csv_rows(conflicting_places(train, *judges)),
    )


def _audit_split(name: str, split: LabelledTexts, long_texts: LongTexts, known: Container[str] | None) -> SplitAudit:
    return SplitAudit(
        rows=len(split.texts),
        label_counts=split.label_counts(),
        empty_rows=split.csv_rows(place for place, text in enumerate(split.texts) if not text.strip()),
        long_texts=long_texts,
        repeats=repeats_within(name, split),
        character_kinds=character_kinds(split.texts),
        scripts=scripts(split.texts),
        words=describe_words(split.texts, known),
    )


def _long_texts(split: LabelledTexts, limit: int, cut: np.ndarray | None) -> LongTexts:
    words = np.array([len(text.split()) for text in split.texts])
    is_long = words > limit if cut is None else cut
    return LongTexts(
        unit="words" if cut is None else "tokens",
        limit=limit,
        rows=split.csv_rows(np.flatnonzero(is_long).tolist()),
        longest_words=int(words.max()),
        median_words=float(np.median(words)),
    )
