"""Tabulate the results of a training, a compression and a prediction."""

from collections.abc import Mapping

from emotion.evaluation import ClassScores
from emotion.prediction import Prediction
from emotion.reporting.compression_schema import BASELINE, CompressionReport
from emotion.reporting.schema import TrainingReport
from emotion.reporting.tables import Table


def models_table(report: TrainingReport) -> Table:
    """Tabulate all models of a report, the best macro F1 first."""
    headings = ("accuracy", "macro F1", f">= {report.accuracy_target:.2f}", "epoch", "ms/row", "MB", "train s")
    rows = [
        (
            name,
            f"{entry.accuracy:.4f}",
            f"{entry.macro_f1:.4f}",
            "yes" if entry.target_met else "no",
            f"{entry.best_epoch}/{len(entry.history)}",
            f"{entry.latency_ms_per_sample:.2f}",
            f"{entry.model_size_mb:.1f}",
            f"{entry.train_seconds:.0f}",
        )
        for name, entry in sorted(report.models.items(), key=lambda item: -item[1].macro_f1)
    ]
    return Table("Validation results (* best macro F1)", ("model", *headings), rows, best=report.best_model)


def class_table(title: str, per_class: Mapping[str, ClassScores]) -> Table:
    """Tabulate precision, recall, F1 and support of each class."""
    rows = [
        (name, f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}", str(scores.support))
        for name, scores in per_class.items()
    ]
    return Table(title, ("class", "precision", "recall", "F1", "rows"), rows)


def compression_table(report: CompressionReport) -> Table:
    """Tabulate all variants of a report, the smallest file first."""
    original = report.variants[BASELINE]
    rows = []
    for name in report.ranking.by_size:
        variant = report.variants[name]
        row = (
            name,
            f"{variant.size_mb:.1f}",
            f"{variant.size_ratio:.0%}",
            f"{variant.speedup:.2f}",
            f"{variant.speedup_batch_1:.2f}",
            f"{variant.macro_f1:.4f}",
        )
        points = f"{100 * (variant.macro_f1 - original.macro_f1):+.2f}"
        compared = (points, f"{variant.agreement_with_original:.1%}", f"{variant.mcnemar_p:.2f}")
        rows.append((*row, *(compared if name != BASELINE else ("", "", ""))))
    headings = ("variant", "MB", "size", "speed", "alone", "macro F1", "points", "agree", "p")
    return Table(f"{report.model_name} compressed (speed in batches of 32, and alone)", headings, rows)


def prediction_table(prediction: Prediction) -> Table:
    """Tabulate how many rows were predicted as each class."""
    total = len(prediction.labels)
    rows = []
    for index, name in enumerate(prediction.names):
        count = prediction.labels.count(index)
        rows.append((name, str(count), f"{count / total:.1%}"))
    return Table(f"{total} rows predicted", ("class", "rows", "share"), rows)
