"""Where a classifier errs, on rows that were worked out by hand."""

import numpy as np

from emotion.evaluation import confused_pairs, scores_by_length, worst_mistakes

LABELS = [0, 1, 2, 0, 1]
PROBABILITIES = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]])


def test_the_most_confident_mistakes_come_first() -> None:
    found = worst_mistakes(LABELS, PROBABILITIES, 2)
    assert [(each.place, each.label, each.predicted, each.confidence) for each in found] == [
        (2, 2, 0, 0.8),
        (3, 0, 1, 0.7),
    ]
    assert len(worst_mistakes(LABELS, PROBABILITIES, 99)) == 3
    assert worst_mistakes([0], np.array([[1.0, 0.0]]), 5) == []


def test_pairs_are_ordered_by_how_often_they_are_confused() -> None:
    labels, probabilities = [*LABELS, 1], np.vstack([PROBABILITIES, [[0.7, 0.2, 0.1]]])
    found = confused_pairs(labels, probabilities)
    assert [(each.label, each.predicted, each.places) for each in found] == [(1, 0, [5, 1]), (2, 0, [2]), (0, 1, [3])]


def test_texts_of_one_length_share_a_bucket() -> None:
    predictions = PROBABILITIES.argmax(axis=1).tolist()
    found = scores_by_length(LABELS, predictions, [3, 3, 3, 9, 20], ("a", "b", "c"), buckets=3)
    assert [(each.shortest, each.longest, each.rows) for each in found] == [(3, 3, 3), (9, 9, 1), (20, 20, 1)]
    assert found[0].accuracy == 1 / 3
    assert sum(each.rows for each in scores_by_length(LABELS, predictions, [1] * 5, ("a", "b", "c"))) == 5
    assert len(scores_by_length([1], [1], [4], ("a", "b"))) == 1
