"""Scores, compared with those of scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from emotion.evaluation import classification_metrics, evaluate
from support.labels import EMOTION6


def draw(seed: int, classes: list[int]) -> tuple[list[int], list[int]]:
    rng = np.random.default_rng(seed)
    return rng.choice(classes, 200).tolist(), rng.choice(classes, 200).tolist()


@pytest.mark.parametrize("classes", [[0, 1, 2, 3, 4, 5], [0, 2, 5], [3]])
def test_evaluate_equals_sklearn(classes: list[int]) -> None:
    labels, predictions = draw(0, classes)
    evaluation = evaluate(labels, predictions, EMOTION6.names)
    assert evaluation.accuracy == pytest.approx(accuracy_score(labels, predictions))
    assert evaluation.macro_f1 == pytest.approx(f1_score(labels, predictions, average="macro"))
    assert evaluation.confusion_matrix == confusion_matrix(labels, predictions, labels=range(6)).tolist()
    columns = precision_recall_fscore_support(labels, predictions, labels=range(6), zero_division=0)
    for index, name in enumerate(EMOTION6.names):
        scores = evaluation.per_class[name]
        expected = [float(column[index]) for column in columns]
        assert [scores.precision, scores.recall, scores.f1, scores.support] == pytest.approx(expected)


def test_metrics_of_training_equal_evaluate_over_several_batches() -> None:
    labels, predictions = draw(1, [0, 1, 3, 4])
    metrics = classification_metrics(6)
    for start in range(0, 200, 64):
        batch = slice(start, start + 64)
        logits = torch.nn.functional.one_hot(torch.tensor(predictions[batch]), 6).float()
        metrics.update(logits, torch.tensor(labels[batch]))
    results, expected = metrics.compute(), evaluate(labels, predictions, EMOTION6.names)
    assert results["accuracy"].item() == pytest.approx(expected.accuracy)
    assert results["macro_f1"].item() == pytest.approx(expected.macro_f1)
    assert results["confusion_matrix"].tolist() == expected.confusion_matrix


@pytest.mark.parametrize(("labels", "predictions"), [([], []), ([1], [1, 2])])
def test_evaluate_refuses_empty_or_unequal_lists(labels: list[int], predictions: list[int]) -> None:
    with pytest.raises(ValueError, match="as many predictions as labels"):
        evaluate(labels, predictions, EMOTION6.names)
