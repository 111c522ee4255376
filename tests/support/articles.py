"""Made-up materials of articles: reports with rows and texts, without any file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from emotion.article import Material, ModelMaterial, ScoredRows
from emotion.evaluation import evaluate, paired_bootstrap, score
from emotion.labels import LabelSet
from emotion.reporting import (
    VALIDATION,
    BaselineRecord,
    DataFile,
    EvaluationRecord,
    Rows,
    TrainingReport,
    compare_rows,
    seed_summaries,
)
from support.labels import EMOTION6
from support.training_reports import entry, run_record


def made_up_rows(rows: int, names: Sequence[str] = EMOTION6.names, right: float = 0.7, seed: int = 0) -> Rows:
    """Make predictions of which about a share ``right`` hits the label; no class is a model's favourite."""
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(len(names), size=rows)
    predicted = np.where(rng.random(rows) < right, labels, rng.integers(len(names), size=rows))
    probabilities = rng.random((rows, len(names))) * 0.5
    probabilities[np.arange(rows), predicted] = 0.6 + 2 * rng.random(rows)
    return Rows(labels, probabilities / probabilities.sum(axis=1, keepdims=True), tuple(names))


def made_up_model(
    name: str,
    rows: Mapping[str, Rows],
    texts: Sequence[str] | None,
    *,
    scored: bool = True,
    baseline: bool = False,
    reads: int = 1,
) -> ModelMaterial:
    """Make a model's entry from its rows.

    Args:
        name: Of the model.
        rows: By the name of the CSV, ``validation`` among them.
        texts: Of the rows of every CSV; None = they are gone.
        scored: Whether the report has intervals and calibration, as those of earlier versions have not.
        baseline: Whether a baseline was trained, which predicts the first class.
        reads: How often the evaluation sets were read.
    """
    scores = {data: _scores(each, scored) for data, each in rows.items()}
    validation, names = rows[VALIDATION], rows[VALIDATION].names
    made = entry(run_record(name)).model_copy(update=scores[VALIDATION])
    made.evaluations = {
        data: EvaluationRecord(
            **scores[data],
            data=DataFile(path=f"{data}.csv", sha256=data, rows=len(each.labels), label_counts={}),
            reads=reads,
        )
        for data, each in rows.items()
        if data != VALIDATION
    }
    if baseline:
        simple = np.zeros(len(validation.labels), dtype=np.int64)
        predicted = validation.probabilities.argmax(axis=1)
        found = evaluate(validation.labels.tolist(), simple.tolist(), names)
        made.baselines = {
            "tfidf_svm": BaselineRecord(
                accuracy=found.accuracy,
                macro_f1=found.macro_f1,
                per_class=found.per_class,
                confusion_matrix=found.confusion_matrix,
                train_seconds=1.0,
                difference=paired_bootstrap(validation.labels, predicted, simple, len(names), resamples=200),
                mcnemar_p=0.001,
            )
        }
    shown = {data: ScoredRows(each, None if texts is None else list(texts)) for data, each in rows.items()}
    return ModelMaterial(name, made, LabelSet(tuple(names)), None, shown)


def _scores(rows: Rows, scored: bool) -> dict[str, object]:
    labels, predicted = rows.labels.tolist(), rows.probabilities.argmax(axis=1).tolist()
    found = evaluate(labels, predicted, rows.names)
    plain = {
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "per_class": found.per_class,
        "confusion_matrix": found.confusion_matrix,
    }
    if not scored:
        return plain
    more = score(labels, rows.probabilities, rows.names)
    return {**plain, "intervals": more.intervals, "calibration": more.calibration}


def made_up_material(models: Sequence[ModelMaterial], seeds: int = 0, left_out: Sequence[str] = ()) -> Material:
    """Put models into one report.

    Args:
        models: The best first.
        seeds: Number of runs of the best model that differ by their seed, of which the first left the model; 0 = the
            report is of a version without them.
        left_out: Sentences on what is missing.
    """
    best = models[0]
    runs = [
        run_record(best.name, best.entry.macro_f1 - seed / 100).model_copy(update={"seed": seed, "recipe": "r"})
        for seed in range(seeds)
    ]
    if runs:
        runs[0].run_id = best.entry.run_id
    rows = {each.name: each.scored[VALIDATION].rows for each in models if each.entry.intervals is not None}
    report = TrainingReport(
        best_model=best.name,
        runs=runs,
        models={each.name: each.entry for each in models},
        comparisons=compare_rows(rows, VALIDATION) if len(rows) > 1 else [],
    )
    return Material(
        output_dir=Path("outputs"),
        report=report,
        seeds=seed_summaries(report),
        models={each.name: each for each in models},
        compression=None,
        evaluation=None,
        left_out=list(left_out),
    )
