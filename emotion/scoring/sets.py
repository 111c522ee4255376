"""Evaluation sets: labelled CSVs, by name, on which a finished model is scored."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emotion.data import LabelledTexts
from emotion.evaluation import Scores, apply_temperature, auroc, error_detection, score
from emotion.labels import LabelSet
from emotion.models import Predictions, Predictor
from emotion.reporting import DataFile, EvaluationRecord, Rows, ScoresRecord, ShiftRecord
from emotion.scoring.calibrate import was_calibrated_on


@dataclass(frozen=True, slots=True)
class Scored:
    """A model's scores on a set, and the row-level predictions that they come from."""

    record: EvaluationRecord
    rows: Rows


def read_sets(
    paths: Mapping[str, str],
    text_column: str,
    label_column: str,
    labels: LabelSet,
    key: str | None = None,
    renamed: Mapping[str, str] | None = None,
) -> dict[str, LabelledTexts]:
    """Read and check the CSVs of evaluation sets, without predicting them.

    Args:
        paths: The CSVs, by the sets' names.
        text_column: Name of their column of texts.
        label_column: Name of their column of labels.
        labels: The classes.
        key: The config key of all paths, for errors; None = ``data.test`` and ``data.extra``.
        renamed: Names of classes by what the CSVs call them, if that is something else.

    Raises:
        UserError: A CSV cannot be used.
    """
    return {
        name: LabelledTexts.read(path, text_column, label_column, labels, key or _key(name), renamed)
        for name, path in paths.items()
    }


def _key(name: str) -> str:
    return "data.test" if name == "test" else f"data.extra.{name}"


def score_rows(predictor: Predictor, data: LabelledTexts, found: Predictions) -> Scores:
    """Score what ``predictor`` says of ``data``."""
    return _scores(predictor, data, found, was_calibrated_on(predictor, data))


def _scores(predictor: Predictor, data: LabelledTexts, found: Predictions, fitted_on_these: bool) -> Scores:
    return score(
        data.labels,
        found.probabilities.numpy(),
        data.label_set.names,
        temperature=predictor.temperature,
        doubts=found.doubts,
        fitted_on_these=fitted_on_these,
    )


def score_corpora(predictor: Predictor, data: LabelledTexts, found: Predictions) -> dict[str, ScoresRecord]:
    """Score what ``predictor`` says of each of several CSVs, by name; nothing for one."""
    corpora, fitted = np.asarray(data.corpus_of), was_calibrated_on(predictor, data)
    return {
        name: ScoresRecord(**score_fields(_scores(predictor, part, found.chosen(corpora == place), fitted)))
        for place, (name, part) in enumerate(data.parts().items())
    }


def score_set(
    predictor: Predictor,
    data: LabelledTexts,
    reads: int,
    advance: Callable[[int], None] | None = None,
    familiar: np.ndarray | None = None,
) -> Scored:
    """Predict a set, and score the predictions.

    Args:
        predictor: The finished model.
        data: The set.
        reads: How often the set was read for this model, this time included.
        advance: Called after each batch with the number of texts that are done.
        familiar: (rows,), distances of the validation rows, where they are at hand.
    """
    found = predictor.predict_texts(data.texts, advance=advance)
    scores = score_fields(score_rows(predictor, data, found))
    record = EvaluationRecord(
        **scores, data=data_file(data), reads=reads, shift=_shift(predictor, data, found, familiar)
    )
    return Scored(record, Rows(np.array(data.labels), found.probabilities.numpy(), data.label_set.names))


def _shift(
    predictor: Predictor, data: LabelledTexts, found: Predictions, familiar: np.ndarray | None
) -> ShiftRecord | None:
    unfamiliar, doubts = predictor.is_unfamiliar(found), found.doubts
    if unfamiliar is None or doubts is None or found.distances is None:
        return None
    probabilities = found.probabilities.numpy()
    told_apart = None
    if familiar is not None:
        distances = np.concatenate([familiar, found.distances])
        told_apart = auroc(distances, np.arange(len(distances)) >= len(familiar))
    return ShiftRecord(
        unfamiliar=float(unfamiliar.mean()),
        told_apart=told_apart,
        mean_confidence=min(float(probabilities.max(axis=1).mean(dtype=np.float64)), 1.0),
        errors=error_detection(np.asarray(data.labels), probabilities, apply_temperature(probabilities, 1 / doubts)),
    )


def score_fields(scores: Scores) -> dict[str, Any]:
    """Return scores as the fields of :class:`emotion.reporting.Scored` and its kinds."""
    return {**asdict(scores.evaluation), "intervals": scores.intervals, "calibration": scores.calibration}


def data_file(data: LabelledTexts) -> DataFile:
    """Return the record of a CSV, or of several."""
    corpora = {name: data_file(part) for name, part in data.parts().items()}
    path = ", ".join(each.path for each in corpora.values()) if corpora else str(Path(data.path).resolve())
    counts = data.label_counts()
    return DataFile(path=path, sha256=data.sha256, rows=len(data.texts), label_counts=counts, corpora=corpora)
