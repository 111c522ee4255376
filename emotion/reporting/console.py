"""Print the results of a command at its end."""

from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from emotion.evaluation import Evaluation
from emotion.prediction import Prediction
from emotion.reporting.benchmark_report import tables
from emotion.reporting.benchmark_schema import BenchmarkReport
from emotion.reporting.compression_schema import CompressionReport
from emotion.reporting.report_tables import class_table, compression_table, models_table, prediction_table
from emotion.reporting.schema import TrainingReport
from emotion.reporting.tables import to_console


def print_report(report: TrainingReport, latest: str, output_dir: Path) -> None:
    """Print all models of the report, then the classes of the ``latest`` one."""
    console = Console()
    console.print(to_console(models_table(report)))
    console.print(to_console(class_table(f"{latest} by class", report.models[latest].per_class)))
    _line(console, f"Checkpoint, report and pictures: {output_dir}")


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


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
