"""Made-up reports of trainings."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from emotion.evaluation import Interval, MacroF1Difference, evaluate
from emotion.models import Predictor
from emotion.reporting import (
    VALIDATION,
    BaselineRecord,
    DataFile,
    DataRecord,
    Environment,
    EpochRecord,
    ModelEntry,
    Rows,
    RunRecord,
    TrainingReport,
    write_rows,
)
from emotion.training.deliverables import Deliverables
from support.labels import EMOTION6


def run_record(name: str = "MiniLM", macro_f1: float = 0.5, sweep: str | None = None, data: str = "d") -> RunRecord:
    return RunRecord(
        run_id=f"{name}-{macro_f1}-{sweep}",
        model_name=name,
        sweep=sweep,
        seed=1,
        accuracy=macro_f1,
        macro_f1=macro_f1,
        train_seconds=1.0,
        finished="2030-01-01T00:00:00+00:00",
        validation_sha256=data,
        kept=True,
    )


def entry(run: RunRecord) -> ModelEntry:
    evaluation = evaluate([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4], EMOTION6.names)
    file = DataFile(path="v.csv", sha256=run.validation_sha256, rows=6, label_counts={"joy": 1})
    return ModelEntry(
        accuracy=run.accuracy,
        macro_f1=run.macro_f1,
        target_met=False,
        per_class=evaluation.per_class,
        confusion_matrix=evaluation.confusion_matrix,
        best_epoch=1,
        latency_ms_per_sample=1.5,
        model_size_mb=90.0,
        num_parameters=10,
        train_seconds=1.0,
        history=[EpochRecord(epoch=1, train_loss=1.0, val_loss=1.0, val_accuracy=0.5, val_macro_f1=0.5)],
        checkpoint=f"best_{run.model_name}.pt",
        checkpoint_sha256="c",
        run_id=run.run_id,
        config={"seed": 1},
        data=DataRecord(train=file, validation=file),
        environment=Environment(versions={"torch": "2"}, hardware={"cores": 2}, git_commit=None),
    )


def baseline(difference: float, low: float, high: float) -> BaselineRecord:
    """A baseline that a model beats by ``difference``, with the interval from ``low`` to ``high``."""
    evaluation = evaluate([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4], EMOTION6.names)
    found = MacroF1Difference(difference, Interval(low, high), 0.01)
    return BaselineRecord(**asdict(evaluation), train_seconds=1.0, difference=found, mcnemar_p=0.5)


def report_of(**entries: ModelEntry) -> TrainingReport:
    """A report of these models, of which the first is the best."""
    return TrainingReport(best_model=next(iter(entries)), models=entries)


def publish_run(output_dir: Path, predictor: Predictor, name: str, run_name: str, macro_f1: float) -> TrainingReport:
    """Publish a made-up run, whose rows are written to ``output_dir/<run_name>``."""
    run = run_record(name, macro_f1).model_copy(update={"run_id": str(output_dir / run_name)})
    rows = output_dir / run_name / "validation_predictions.csv"
    rows.parent.mkdir(parents=True, exist_ok=True)
    probabilities = np.full((6, 6), (1 - macro_f1) / 5)
    np.fill_diagonal(probabilities, macro_f1)
    write_rows(Rows(np.arange(6), probabilities, EMOTION6.names), rows)
    deliverables = Deliverables(output_dir, name)
    deliverables.require_free()
    return deliverables.publish(
        replace(predictor, model_name=name, metadata={"macro_f1": macro_f1}), entry(run), run, {VALIDATION: rows}
    )
