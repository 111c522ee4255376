"""Suspect labels are those that the authors' own library finds, and those of a case by hand."""

import json

import numpy as np
import pytest

from emotion.data import suspect_labels
from support.noisy_labels import CASES, EXPECTED, by_cleanlab, noisy

MANY = "28 classes"
"""Its counts tie when they are rounded, and cleanlab settles ties by an unstable sort."""


def found(name: str) -> list[int]:
    probabilities, labels = noisy(name)
    return [each.row for each in suspect_labels(probabilities, labels.tolist())]


@pytest.mark.parametrize("name", sorted(CASES.keys() - {MANY}))
def test_the_rows_that_cleanlab_suspected_are_found_in_its_order(name: str) -> None:
    assert found(name) == json.loads(EXPECTED.read_text())[name]


def test_of_many_classes_all_but_ties_are_those_of_cleanlab() -> None:
    expected = json.loads(EXPECTED.read_text())[MANY]
    assert len(set(expected) ^ set(found(MANY))) <= len(expected) / 50


@pytest.mark.parametrize("name", sorted(CASES.keys() - {MANY}))
def test_the_rows_are_those_that_an_installed_cleanlab_suspects(name: str) -> None:
    pytest.importorskip("cleanlab", reason="under the AGPL, so not a dependency; its findings are in a file")
    assert found(name) == by_cleanlab(name)


def test_a_case_by_hand() -> None:
    """Thresholds are the means of .9, .8, .1 and of .9, .7: .6 and .8.

    Rows 0, 1, 3 count for their labels, row 2 for class 1, row 4 for none. The joint [[2, 1], [0, 1]], scaled to the 3
    and 2 rows of the labels, is [[2, 1], [0, 2]]: one row labelled 0 is of class 1.
    """
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9], [0.3, 0.7]])
    (suspect,) = suspect_labels(probabilities, [0, 0, 0, 1, 1])
    assert (suspect.row, suspect.label, suspect.suggested, suspect.self_confidence) == (2, 0, 1, pytest.approx(0.1))


def test_a_label_that_the_model_agrees_with_is_never_suspected() -> None:
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    assert suspect_labels(probabilities, [0, 0, 1, 1]) == []


@pytest.mark.parametrize("labels", [[0], [2], [1, 1, 1]])
def test_few_rows_and_one_label_suspect_nothing_that_would_empty_a_class(labels: list[int]) -> None:
    probabilities = np.full((len(labels), 3), 1 / 3)
    assert suspect_labels(probabilities, labels) == []
