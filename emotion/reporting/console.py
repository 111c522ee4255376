"""Tables for people at a terminal."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from emotion.evaluation import ClassScores
from emotion.prediction import Prediction
from emotion.reporting.benchmark_report import tables
from emotion.reporting.benchmark_schema import BenchmarkReport
from emotion.reporting.compression_schema import BASELINE, CompressionReport
from emotion.reporting.schema import TrainingReport


def print_report(report: TrainingReport, latest: str, output_dir: Path) -> None:
    """All models of the report, then the classes of the ``latest`` one."""
    console = Console()
    models = Table(
        title="Validation results (* best macro F1)", title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True
    )
    models.add_column("model", no_wrap=True)
    for heading in ("accuracy", "macro F1", f">= {report.accuracy_target:.2f}", "epoch", "ms/row", "MB", "train s"):
        models.add_column(heading, justify="right", no_wrap=True)
    for name, entry in sorted(report.models.items(), key=lambda item: -item[1].macro_f1):
        models.add_row(
            f"[bold]{name} *[/]" if name == report.best_model else name,
            f"{entry.accuracy:.4f}",
            f"{entry.macro_f1:.4f}",
            "yes" if entry.target_met else "no",
            f"{entry.best_epoch}/{len(entry.history)}",
            f"{entry.latency_ms_per_sample:.2f}",
            f"{entry.model_size_mb:.1f}",
            f"{entry.train_seconds:.0f}",
        )
    console.print(models)
    console.print(class_table(f"{latest} by class", report.models[latest].per_class))
    console.print(f"Predictor, report and pictures: {escape(str(output_dir))}", highlight=False, soft_wrap=True)


def print_compression(report: CompressionReport, folder: Path) -> None:
    """All variants, smallest file first, and what each ranking puts in front."""
    console = Console()
    original = report.variants[BASELINE]
    table = Table(
        title=f"{report.model_name} compressed (speed in batches of 32, and alone)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
    )
    table.add_column("variant", no_wrap=True)
    for heading in ("MB", "size", "speed", "alone", "macro F1", "points", "agree", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in report.ranking.by_size:
        variant = report.variants[name]
        is_original = name == BASELINE
        table.add_row(
            name,
            f"{variant.size_mb:.1f}",
            f"{variant.size_ratio:.0%}",
            f"{variant.speedup:.2f}",
            f"{variant.speedup_batch_1:.2f}",
            f"{variant.macro_f1:.4f}",
            "" if is_original else f"{100 * (variant.macro_f1 - original.macro_f1):+.2f}",
            "" if is_original else f"{variant.agreement_with_original:.1%}",
            "" if is_original else f"{variant.mcnemar_p:.2f}",
        )
    console.print(table)
    for title, names in (("fastest", report.ranking.by_speed), ("best macro F1", report.ranking.by_macro_f1)):
        console.print(f"{title}: {' > '.join(names)}", highlight=False, soft_wrap=True)
    if report.chosen is not None:
        best = f"best {report.chosen.prefer} within {report.chosen.max_drop:g} of macro F1"
        console.print(f"{best}: {report.chosen.variant}, as {report.chosen.file}", highlight=False, soft_wrap=True)
    for name, reason in report.failed.items():
        console.print(f"[bold]{name} failed[/]: {escape(reason)}", highlight=False, soft_wrap=True)
    console.print(f"Models, report and picture: {escape(str(folder))}", highlight=False, soft_wrap=True)


def print_benchmark(report: BenchmarkReport, output_dir: str) -> None:
    """The tables of the report."""
    console = Console()
    console.print(Markdown(tables(report)))
    files = f"Report, tables and picture: {escape(output_dir)}"
    console.print(files, highlight=False, soft_wrap=True)


def class_table(title: str, per_class: dict[str, ClassScores]) -> Table:
    """Precision, recall, F1 and support of each class."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("emotion")
    for heading in ("precision", "recall", "F1", "rows"):
        table.add_column(heading, justify="right")
    for name, scores in per_class.items():
        table.add_row(name, f"{scores.precision:.3f}", f"{scores.recall:.3f}", f"{scores.f1:.3f}", str(scores.support))
    return table


def print_prediction(prediction: Prediction) -> None:
    """How many rows of each emotion were predicted, the scores where the CSV has labels, and the file."""
    console = Console()
    counts = Table(title=f"{len(prediction.labels)} rows predicted", title_justify="left", box=box.SIMPLE_HEAD)
    counts.add_column("emotion")
    counts.add_column("rows", justify="right")
    counts.add_column("share", justify="right")
    for index, emotion in enumerate(prediction.names):
        rows = prediction.labels.count(index)
        counts.add_row(emotion, str(rows), f"{rows / len(prediction.labels):.1%}")
    console.print(counts)
    if prediction.evaluation is not None:
        evaluation = prediction.evaluation
        console.print(class_table("Against the labels", evaluation.per_class))
        console.print(f"accuracy {evaluation.accuracy:.4f}, macro F1 {evaluation.macro_f1:.4f}", highlight=False)
    console.print(f"Predictions: {escape(str(prediction.output))}", highlight=False, soft_wrap=True)
