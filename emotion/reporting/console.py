"""Print the results of a command at its end."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from emotion.evaluation import Evaluation
from emotion.prediction import Prediction
from emotion.reporting.ablation_report import AblationReport
from emotion.reporting.ablation_tables import ablation_tables
from emotion.reporting.audit_report import AuditReport
from emotion.reporting.audit_tables import audit_in_words, audit_tables
from emotion.reporting.benchmark_report import tables
from emotion.reporting.benchmark_schema import BenchmarkReport
from emotion.reporting.compression_schema import CompressionReport
from emotion.reporting.evaluation_report import EvaluationReport
from emotion.reporting.report_tables import (
    checkpoint_tables,
    class_table,
    compression_table,
    corpora_table,
    evaluation_table,
    models_table,
    prediction_table,
    seeds_table,
    shift_tables,
)
from emotion.reporting.schema import TrainingReport
from emotion.reporting.seeds import seed_summaries
from emotion.reporting.tables import to_console
from emotion.reporting.tuning_report import TuningReport
from emotion.reporting.tuning_tables import tuning_tables
from emotion.reporting.words import baseline_warnings, calibration_in_words, leading_comparisons, verdict


def print_report(report: TrainingReport, latest: str, output_dir: Path) -> None:
    """Print all models of the report, then the classes, the sets and the calibration of the ``latest`` one."""
    console, entry = Console(), report.models[latest]
    console.print(to_console(models_table(report)))
    if (corpora := corpora_table(report)) is not None:
        console.print(to_console(corpora))
    console.print(to_console(class_table(f"{latest} by class", entry.per_class)))
    for data in entry.evaluations:
        console.print(to_console(evaluation_table(report, data)))
    for table in shift_tables(report):
        console.print(to_console(table))
    if entry.calibration is not None:
        _line(console, calibration_in_words(latest, entry.calibration))
    for line in baseline_warnings(report):
        _line(console, line)
    _line(console, f"Checkpoint, report and pictures: {output_dir}")


def print_sweep(report: TrainingReport, output_dir: Path) -> None:
    """Print what the runs of all seeds say together, and whether the best models can be told apart."""
    console, summaries = Console(), seed_summaries(report)
    for data in dict.fromkeys(data for summary in summaries for data in summary.scores):
        console.print(to_console(seeds_table(summaries, data)))
    _line(console, "Validation alone chose each epoch and the seed whose checkpoint is shipped.")
    for comparison in leading_comparisons(report.comparisons):
        _line(console, verdict(comparison))
    _line(console, f"Checkpoints, report and pictures: {output_dir}")


def print_evaluation(report: EvaluationReport, folder: Path) -> None:
    """Print the scores of all checkpoints on all sets, and whether the best can be told apart."""
    console = Console()
    for table in checkpoint_tables(report):
        console.print(to_console(table))
    for comparison in leading_comparisons(report.comparisons):
        _line(console, verdict(comparison))
    _line(console, f"Report, pictures and row-level predictions: {folder}")


def print_ablation(report: AblationReport, folder: Path) -> None:
    """Print what each change of the recipe adds."""
    console = Console()
    for table in ablation_tables(report):
        console.print(to_console(table))
    _line(console, f"Report, tables and row-level predictions: {folder}")


def print_tuning(report: TuningReport, folder: Path) -> None:
    """Print the best trials, what matters, and how to train with the best settings."""
    console = Console()
    for table in tuning_tables(report):
        console.print(to_console(table))
    if (best := report.best) is not None:
        settings = " ".join(f"{key}={value}" for key, value in best.settings.items())
        _line(console, f"The best settings: {settings}")
        _line(console, "Validation chose them, and so flatters them; other seeds and a test set tell.")
    _line(console, f"Checkpoint, report and pictures: {folder}")


def print_audit(report: AuditReport, folder: Path) -> None:
    """Print what was found in each CSV, and what to look at."""
    console = Console()
    for table in audit_tables(report):
        console.print(to_console(table))
    for line in audit_in_words(report):
        _line(console, line)
    _line(console, f"Report and suspect labels: {folder}")


def print_compression(report: CompressionReport, folder: Path) -> None:
    """Print all variants, the rankings, the published variant and the failures."""
    console = Console()
    console.print(to_console(compression_table(report)))
    for title, names in (("fastest", report.ranking.by_speed), ("best macro F1", report.ranking.by_macro_f1)):
        _line(console, f"{title}: {' > '.join(names)}")
    if report.chosen is not None:
        best = f"best {report.chosen.prefer} within {report.chosen.max_drop:g} of macro F1"
        _line(console, f"{best}: {report.chosen.variant}, as {report.chosen.file}")
    for name, reason in report.failed.items():
        _line(console, f"{name} failed: {reason}")
    _line(console, f"Models, report and pictures: {folder}")


def print_benchmark(report: BenchmarkReport, output_dir: str) -> None:
    """Print the tables of the report."""
    console = Console()
    console.print(Markdown(tables(report)))
    _line(console, f"Report, tables and picture: {output_dir}")


def print_prediction(prediction: Prediction) -> None:
    """Print how many rows of each class were predicted or abstained, the scores if there are labels, and the file."""
    console = Console()
    console.print(to_console(prediction_table(prediction)))
    if prediction.evaluation is not None:
        evaluation = prediction.evaluation
        console.print(to_console(class_table("Against the labels", evaluation.per_class)))
        _line(console, _scores(evaluation))
    if prediction.abstained_rows is not None:
        _line(console, f"{prediction.abstained_rows} of {len(prediction.labels)} rows abstained")
    if prediction.answered_evaluation is not None:
        _line(console, f"the other rows: {_scores(prediction.answered_evaluation)}")
    _line(console, f"Predictions: {prediction.output}")


def _scores(evaluation: Evaluation) -> str:
    return f"accuracy {evaluation.accuracy:.4f}, macro F1 {evaluation.macro_f1:.4f}"


def print_export(folder: Path) -> None:
    """Print where a folder for the Hugging Face hub is."""
    _line(Console(), f"Folder for transformers and the hub, checked to predict as the checkpoint does: {folder}")


def print_article(written: Sequence[Path]) -> None:
    """Print where an article's files are."""
    for path in written:
        _line(Console(), f"Written: {path}")


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
