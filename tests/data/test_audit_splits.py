"""What an audit says of characters, words, lengths and labels, by hand."""

import numpy as np
import pytest

from emotion.data import LabelledTexts, audit_splits
from support.labels import EMOTION6

TRAIN = ["I am happy", "ÜBER 3 Äpfel!", "我很高兴 😀", "", "  ", "привет\u200b $5 \ufffd", "cafe\u0301"]
VALIDATION = ["happy HAPPY unseen words", "I"]


def split(texts: list[str], labels: list[int] | None = None) -> LabelledTexts:
    return LabelledTexts("", "", texts, labels or [0] * len(texts), EMOTION6)


def test_characters_are_counted_by_the_rows_that_hold_them() -> None:
    found = audit_splits({"train": split(TRAIN)}, 128).splits["train"]
    assert found.character_kinds == {
        "lower-case letters": 4,
        "digits": 2,
        "upper-case letters": 2,
        "accents and other marks": 1,
        "control and invisible characters": 1,
        "emoji": 1,
        "letters without case": 1,
        "punctuation": 1,
        "replacement characters (of a wrong encoding)": 1,
        "symbols": 1,
    }
    assert found.scripts == {"Latin": 3, "Cjk": 1, "Cyrillic": 1}


def test_unseen_words_are_a_share_of_the_running_words_and_of_the_distinct_ones() -> None:
    found = audit_splits({"train": split(TRAIN), "validation": split(VALIDATION)}, 128).splits
    assert (found["train"].words.unseen, found["train"].words.unseen_distinct) == (0, 0)
    words = found["validation"].words
    assert (words.total, words.distinct) == (5, 4)
    assert (words.unseen, words.unseen_distinct) == (pytest.approx(2 / 5), pytest.approx(2 / 4))


def test_empty_and_long_rows_are_named_by_their_row() -> None:
    splits = {"train": split(TRAIN), "validation": split(VALIDATION)}
    found = audit_splits(splits, 3).splits
    assert found["train"].empty_rows == [5, 6]
    assert (found["train"].long_texts.unit, found["train"].long_texts.rows) == ("words", [])
    assert (found["validation"].long_texts.rows, found["validation"].long_texts.longest_words) == ([2], 4)
    cut = {"train": np.arange(7) == 2, "validation": np.zeros(2, dtype=bool)}
    found = audit_splits(splits, 3, cut).splits
    assert (found["train"].long_texts.unit, found["train"].long_texts.rows) == ("tokens", [4])
    assert found["validation"].long_texts.rows == []


def test_any_number_of_splits_is_compared_in_pairs() -> None:
    splits = {name: split([name, "shared"], [0, place]) for place, name in enumerate(["train", "test", "reddit"])}
    found = audit_splits(splits, 128)
    pairs = [(each.first, each.second, each.repeats.conflicting.texts) for each in found.overlaps]
    assert pairs == [("train", "test", 1), ("train", "reddit", 1), ("test", "reddit", 1)]
    assert found.dropped_rows == []  # what only scores a model chooses no training rows
    assert found.splits["reddit"].label_counts == {**dict.fromkeys(EMOTION6.names, 0), "sadness": 1, "love": 1}


def test_texts_without_words_have_shares_of_zero() -> None:
    found = audit_splits({"train": split([""]), "validation": split(["", " "])}, 128).splits
    assert [each.words.unseen for each in found.values()] == [0, 0]
    assert found["validation"].words.unseen_distinct == 0
