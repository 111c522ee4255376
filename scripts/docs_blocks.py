"""Write each block of README and docs that holds figures, from the reports in docs/reports."""

import io
import json
from collections.abc import Callable, Iterable
from textwrap import fill

from rich.console import Console

from emotion.article import Material
from emotion.article.page import classes_table, comparisons_table, findings, interval_of, variants_table
from emotion.config import PROJECT
from emotion.reporting import (
    ABLATION_REPORT_NAME,
    BASELINE,
    VALIDATION,
    AblationReport,
    BenchmarkReport,
    CompressionReport,
    EvaluationReport,
    ScoresRecord,
    ablation_tables,
    read_json,
)
from emotion.reporting.benchmark_tables import benchmark_tables, utilisation_note
from emotion.reporting.report_tables import (
    calibration_table,
    checkpoint_tables,
    evaluation_table,
    models_table,
    seeds_table,
    shift_tables,
)
from emotion.reporting.tables import Table, to_console, to_markdown

REPORTS = PROJECT / "docs" / "reports"
BLOCKS: dict[str, Callable[[], str]] = {}


def block(function: Callable[[], str]) -> Callable[[], str]:
    """Let blocks of a function's name, with hyphens, be filled by it."""
    BLOCKS[function.__name__.replace("_", "-")] = function
    return function


@block
def start() -> str:
    """What the first command of the README prints."""
    console = Console(file=io.StringIO(), width=100)
    console.print(to_console(models_table(_material("sample").report)))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in printed.splitlines()]
    return "\n".join(["```", *(line for line in lines if line), "```"])


@block
def results() -> str:
    """Quality on each corpus and set, and over seeds."""
    rows = []
    for corpus, folder in (("dair-ai/emotion", "emotion"), ("the sample corpus", "sample")):
        material = _material(folder)
        best = material.best
        for data, record in best.records.items():
            rows.append(_quality(best.name, corpus if data == VALIDATION else data, _rows(material, data), record))
            for name, each in material.baselines_on(data).items():
                if name.startswith("TF-IDF"):
                    rows.append(_quality(name, "the same rows", _rows(material, data), each))
    table = Table("model", ("model", "on", "rows", "accuracy", "macro F1", "95 %"), rows)
    return to_markdown(table)


def _quality(name: str, corpus: str, rows: int, record: ScoresRecord) -> tuple[str, ...]:
    return name, corpus, f"{rows:,}", f"{record.accuracy:.4f}", f"{record.macro_f1:.4f}", interval_of(record)


def _rows(material: Material, data: str) -> int:
    entry = material.best.entry
    return entry.data.validation.rows if data == VALIDATION else entry.evaluations[data].data.rows


@block
def techniques() -> str:
    """Which technique to choose."""
    report = compression()
    wishes = {
        "onnx_int8": "a smaller and faster model, with no training",
        "small": "the smallest loss at a tenth of the size",
        "tiny": "the smallest and fastest",
        "half": "less memory on a GPU",
        "prune": "the classic techniques, for an article",
        "quantize": "",
        "combined": "",
    }
    rows = []
    for name, wish in wishes.items():
        variant = report.variants[name]
        found = variant.difference.interval if variant.difference is not None else None
        speed = f"{variant.speedup:.1f}x, {variant.speedup_batch_1:.1f}x"
        interval = "" if found is None else f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
        rows.append((wish, f"`{name}`", f"{variant.size_ratio:.0%}", speed, f"{report.points(name):+.2f}", interval))
    rows.insert(3, ("the best of these, chosen for you", "`frontier`", "", "", "", "`max_drop=0.005`"))
    headings = ("you want", "`technique=`", "size", "speed on a CPU", "macro F1, points", "95 %")
    return f"{to_markdown(Table('you want', headings, rows))}\n\n{_wrapped(_machine(report))}"


@block
def emotion_findings() -> str:
    """What the report of the real data allows to conclude."""
    return _bullets(findings(_material("emotion")))


@block
def sample_findings() -> str:
    """What the report of the sample corpus allows to conclude."""
    return _bullets(findings(_material("sample")))


@block
def emotion_training() -> str:
    """All tables of a training on the real data."""
    material = _material("emotion")
    report, best = material.report, material.best
    tables = [
        models_table(report),
        *(evaluation_table(report, data) for data in material.evaluation_sets),
        *shift_tables(report),
        *(seeds_table(material.seeds, data) for data in best.records),
        calibration_table(report),
        *(classes_table(best.name, data, record) for data, record in best.records.items()),
        *([comparisons_table(report.comparisons)] if report.comparisons else []),
    ]
    return "\n\n".join(map(to_markdown, tables))


@block
def emotion_compression() -> str:
    """Compressed models of the real data."""
    return to_markdown(variants_table(compression()))


@block
def emotion_latency() -> str:
    """Latency of the compressed models."""
    report = compression()
    rows = []
    for name in report.ranking.by_size:
        latency = report.variants[name].latency
        batches = (latency.batch_1, latency.batch_8, latency.batch_32)
        spreads = (
            "" if each is None else f"{each.p50_ms:.1f}, {each.p90_ms:.1f}, {each.p99_ms:.1f}" for each in batches
        )
        alone = latency.batch_1
        rows.append((name, *spreads, f"{alone.tokenise_p50_ms:.2f} + {alone.forward_p50_ms:.2f}"))
    headings = ("ms: p50, p90, p99", "1 text", "8 texts", "32 texts", "tokenise + forward, 1 text")
    calls = report.variants[BASELINE].latency.batch_1.calls
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{_wrapped(f'{calls} calls each. {_machine(report)}')}"


@block
def emotion_audit() -> str:
    """What the audit of the real data found."""
    return _bullets(json.loads((REPORTS / "emotion" / "audit_findings.json").read_text(encoding="utf-8")))


@block
def drop_conflicts() -> str:
    """The same training with and without contradictory rows."""
    rows = []
    for setting, folder in (("`false`", "emotion"), ("`true`", "emotion_drop_conflicts")):
        material = _material(folder)
        entry = material.best.entry
        run = next(run for run in material.report.runs if run.seed == 1)
        svm = entry.baselines["tfidf_svm"]
        scores = (f"{run.accuracy:.4f}", f"{run.macro_f1:.4f}", f"{svm.accuracy:.4f}", f"{svm.macro_f1:.4f}")
        rows.append((setting, f"{entry.data.train.rows:,}", *scores))
    models = ("MiniLM, seed 1: accuracy", "macro F1", "TF-IDF + SVM: accuracy", "macro F1")
    headings = ("`data.drop_conflicts`", "training rows", *models)
    return to_markdown(Table(headings[0], headings, rows))


@block
def bits() -> str:
    """INT8 with 7 and 8 bits against FP32."""
    report = read_json(REPORTS / "bits" / "evaluation_report.json", EvaluationReport)
    tables = [*checkpoint_tables(report), comparisons_table(report.comparisons)]
    return "\n\n".join(map(to_markdown, tables))


@block
def ablation_screen() -> str:
    """What each change of the recipe adds, on a quarter of the training rows."""
    return _ablation("ablation_screen")


@block
def ablation_finalists() -> str:
    """What the best changes add, on all training rows."""
    return _ablation("ablation_finalists")


def _ablation(folder: str) -> str:
    report = read_json(REPORTS / folder / ABLATION_REPORT_NAME, AblationReport)
    return "\n\n".join(map(to_markdown, ablation_tables(report)))


@block
def other_text() -> str:
    """Models of one corpus, of both and of averaged weights, on text of both."""
    report = read_json(REPORTS / "other_text" / "evaluation_report.json", EvaluationReport)
    return "\n\n".join(map(to_markdown, checkpoint_tables(report)))


@block
def shift_scores() -> str:
    """How well each score tells text that is unlike the training text."""
    found = json.loads((REPORTS / "other_text" / "shift_scores.json").read_text(encoding="utf-8"))
    tables = []
    for model, scores in found.items():
        figures = ("as_written", "normalised", "wrong")
        rows = [(each["score"], *(f"{each[figure]:.3f}" for figure in figures)) for each in scores]
        headings = ("score", "other text, as written", "normalised", "wrong labels in it")
        tables.append(to_markdown(Table(f"AUROC of {model}", headings, rows)))
    return "\n\n".join(tables)


@block
def speed() -> str:
    """Speed against other tools."""
    report = read_json(REPORTS / "speed" / "benchmark_report.json", BenchmarkReport)
    shown = [to_markdown(table) for name, table in benchmark_tables(report).items() if name != "compression"]
    return "\n\n".join([_wrapped(_machine(report)), *shown, _wrapped(utilisation_note(report))])


@block
def speed_compressed() -> str:
    """Speed of compressed models against transformers."""
    shown = []
    for path in sorted(REPORTS.glob("speed*/benchmark_report.json")):
        table = benchmark_tables(read_json(path, BenchmarkReport)).get("compression")
        shown += [] if table is None else [to_markdown(table)]
    return "\n\n".join(shown)


def _material(folder: str) -> Material:
    return Material.read(REPORTS / folder)


def compression() -> CompressionReport:
    """Read the report of the compressed models of the real data."""
    report = _material("emotion").compression
    assert report is not None
    return report


def _machine(report: CompressionReport | BenchmarkReport) -> str:
    hardware, versions = report.environment.hardware, report.environment.versions
    packages = " and ".join(f"{name} {versions[name]}" for name in ("torch", "transformers"))
    return f"On {hardware['cpu']}, {hardware['threads']} threads, GPU: {hardware['gpu']}, with {packages}."


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(_wrapped(f"- {sentence}", indent="  ") for sentence in sentences)


def _wrapped(text: str, indent: str = "") -> str:
    return fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
