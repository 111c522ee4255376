"""Simple classifiers, which a fine-tuned model must beat to be worth its training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from emotion.data import fold_numbers

MAJORITY, SVM = "majority", "tfidf_svm"


class Baseline(Protocol):
    """A trained simple classifier."""

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return a number for each class that falls with doubt, (texts, classes), float64; rows sum to 1."""
        ...


@dataclass(frozen=True, slots=True)
class MajorityClass:
    """Gives every text the shares of the classes in the training data, so predicts the most frequent one."""

    shares: np.ndarray
    """(classes,)."""

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return the shares for each text, (texts, classes)."""
        return np.tile(self.shares, (len(texts), 1))


@dataclass(frozen=True, slots=True)
class TfidfSvm:
    """TF-IDF of words and word pairs, and a linear SVM whose classes weigh the same."""

    pipeline: Pipeline
    classes: int

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return the softmax of the decision values, (texts, classes): not calibrated; absent classes have 0."""
        decisions: np.ndarray = self.pipeline.decision_function(list(texts))
        if decisions.ndim == 1:  # of two classes, the second's
            decisions = np.stack([-decisions, decisions], axis=1)
        found = np.zeros((len(texts), self.classes))
        found[:, self.pipeline.classes_] = softmax(decisions, axis=1)
        return found

    def word_weights(self) -> list[dict[str, float]]:
        """Return how much each word, in lower case, speaks for each class; nothing for absent ones."""
        vectorizer, svm = self.pipeline[0], self.pipeline[-1]
        coefficients = svm.coef_ if len(svm.classes_) > 2 else np.concatenate([-svm.coef_, svm.coef_])
        found: list[dict[str, float]] = [{} for _ in range(self.classes)]
        words = {name: place for place, name in enumerate(vectorizer.get_feature_names_out()) if " " not in name}
        for label, row in zip(svm.classes_, coefficients, strict=True):
            found[label] = dict(zip(words, row[list(words.values())].tolist(), strict=True))
        return found


def fit_baselines(texts: Sequence[str], labels: Sequence[int], classes: int) -> dict[str, Baseline]:
    """Train the baselines, by name.

    Args:
        texts: (rows,), at least one.
        labels: (rows,), class indices in [0, classes).
        classes: Number of classes.
    """
    majority = MajorityClass(np.bincount(np.asarray(labels), minlength=classes) / len(labels))
    return {MAJORITY: majority, SVM: fit_svm(texts, labels, classes) or majority}


def fit_svm(texts: Sequence[str], labels: Sequence[int], classes: int) -> TfidfSvm | None:
    """Train the SVM; return None where it can learn nothing: one class only, or no words."""
    if len(set(labels)) < 2:
        return None
    vectorizer: Any = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    pipeline = make_pipeline(vectorizer, LinearSVC(class_weight="balanced", random_state=0))
    try:
        pipeline.fit(list(texts), np.asarray(labels))
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        return None
    return TfidfSvm(pipeline, classes)


def out_of_fold(texts: Sequence[str], labels: Sequence[int], classes: int, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Predict each row by an SVM that was trained on the other folds; where it can learn nothing, by class shares.

    Args:
        texts: (rows,), at least two different ones.
        labels: (rows,), class indices in [0, classes).
        classes: Number of classes.
        folds: Number of folds (:func:`emotion.data.fold_numbers`), >= 2.
        seed: Seed of the folds.

    Returns:
        (rows, classes), float64; rows sum to 1; not calibrated; a class that a row's SVM did not see has 0.

    Raises:
        UserError: There are fewer than two different texts, or fewer than two folds.
    """
    numbers, truth = fold_numbers(texts, labels, folds, seed), np.asarray(labels)
    found = np.empty((len(texts), classes))
    for fold in range(numbers.max() + 1):
        others, held_out = np.flatnonzero(numbers != fold).tolist(), np.flatnonzero(numbers == fold).tolist()
        baselines = fit_baselines([texts[row] for row in others], truth[others].tolist(), classes)
        found[held_out] = baselines[SVM].predict_proba([texts[row] for row in held_out])
    return found
