"""How well confidence tells wrong labels, against scikit-learn's AUROC."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from emotion.evaluation import auroc, error_detection


def test_auroc_is_scikit_learns_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    for digits in (1, 6):
        scores, positive = rng.random(300).round(digits), rng.random(300) < 0.3
        assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def made(rows: int, helpful: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and probabilities whose confidence falls by ``helpful`` where they are wrong, and without that."""
    rng = np.random.default_rng(1)
    labels = rng.integers(2, size=rows)
    wrong = rng.random(rows) < 0.4
    confidence = 0.75 + 0.2 * rng.random(rows)

    def probabilities(sure: np.ndarray) -> np.ndarray:
        found = np.empty((rows, 2))
        predicted = np.where(wrong, 1 - labels, labels)
        found[np.arange(rows), predicted], found[np.arange(rows), 1 - predicted] = sure, 1 - sure
        return found

    return labels, probabilities(confidence - helpful * wrong), probabilities(confidence)


def test_a_confidence_that_knows_more_is_told_from_one_that_does_not() -> None:
    labels, better, plain = made(400, helpful=0.1)
    found = error_detection(labels, better, plain)
    assert found is not None
    wrong = plain.argmax(axis=1) != labels
    assert found.auroc == pytest.approx(roc_auc_score(wrong, -better.max(axis=1)))
    assert found.by_temperature == pytest.approx(roc_auc_score(wrong, -plain.max(axis=1)))
    assert 0 < found.difference.low < found.auroc - found.by_temperature < found.difference.high


def test_the_same_confidence_differs_by_nothing() -> None:
    labels, better, plain = made(200, helpful=0.0)
    found = error_detection(labels, better, plain)
    assert found is not None
    assert (found.difference.low, found.difference.high) == (0, 0)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_where_all_is_right_or_all_is_wrong_there_is_nothing_to_tell(labels: list[int]) -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4]])
    assert error_detection(np.array(labels), probabilities, probabilities) is None
