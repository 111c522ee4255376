"""Each row is judged by a model that saw neither it nor a copy of it."""

from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from emotion.data import fold_numbers
from emotion.errors import UserError
from emotion.models import out_of_fold
from support.files import sample_rows

ROWS = sample_rows("train", 240)
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]


def test_the_labels_are_those_of_an_svm_that_is_trained_on_the_other_folds() -> None:
    found = out_of_fold(TEXTS, LABELS, 6, folds=3, seed=4)
    numbers = fold_numbers(TEXTS, LABELS, 3, 4)
    assert found.shape == (240, 6)
    assert np.allclose(found.sum(axis=1), 1)
    for fold in range(3):
        learned = [place for place in range(240) if numbers[place] != fold]
        rest = [place for place in range(240) if numbers[place] == fold]
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit([TEXTS[place] for place in learned])
        svm = LinearSVC(class_weight="balanced", random_state=0)
        svm.fit(words.transform([TEXTS[place] for place in learned]), [LABELS[place] for place in learned])
        expected = svm.predict(words.transform([TEXTS[place] for place in rest]))
        assert found[rest].argmax(axis=1).tolist() == expected.tolist()


def test_folds_have_the_shares_of_the_classes_and_keep_copies_together() -> None:
    texts, labels = [*TEXTS, *TEXTS[:30]], [*LABELS, *((label + 1) % 6 for label in LABELS[:30])]
    numbers = fold_numbers(texts, labels, 5, 0)
    assert numbers[:30].tolist() == numbers[240:].tolist()
    rows = Counter(fold_numbers(TEXTS, LABELS, 5, 0).tolist())
    assert set(rows.values()) == {48}
    for label in range(6):
        held = [fold for fold, each in zip(fold_numbers(TEXTS, LABELS, 5, 0), LABELS, strict=True) if each == label]
        counts = np.bincount(held, minlength=5)
        assert counts.max() - counts.min() <= 1


def test_a_class_with_fewer_rows_than_folds_and_one_without_rows_are_tolerated() -> None:
    labels = [0 if label == 5 else label for label in LABELS]
    labels[3] = 5
    found = out_of_fold(TEXTS, labels, 28, folds=4)
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(axis=1), 1)
    assert found[3, 5] == 0  # its own fold alone has the class
    assert (found[:, 6:] == 0).all()


@pytest.mark.parametrize("texts", [["", "!"], ["", "?", "!", "   ."], ["only", "two"]])
def test_where_nothing_can_be_learned_the_shares_of_the_other_folds_are_given(texts: list[str]) -> None:
    labels = [place % 2 for place in range(len(texts))]
    found = out_of_fold(texts, labels, 3, folds=2)
    numbers = fold_numbers(texts, labels, 2, 0)
    for place, fold in enumerate(numbers):
        others = [label for label, number in zip(labels, numbers, strict=True) if number != fold]
        assert found[place].tolist() == (np.bincount(others, minlength=3) / len(others)).tolist()


def test_one_text_has_no_other_folds() -> None:
    with pytest.raises(UserError, match=r"data\.train: must have two different texts to deal into folds, found 1"):
        out_of_fold(["a", " a"], [0, 1], 2)
