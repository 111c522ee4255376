"""Write each block of README and docs that holds figures, from the reports in docs/reports."""

import io
import json
from collections.abc import Callable, Iterable
from statistics import fmean
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
    return "\n\n".join(map(to_markdown, ablation_tables(ablation(folder))))


def ablation(folder: str) -> AblationReport:
    """Read the report of a comparison of recipes."""
    return read_json(REPORTS / folder / ABLATION_REPORT_NAME, AblationReport)


@block
def tuned_seeds() -> str:
    """The recipe that is offered, over seeds, beside the default."""
    rows = []
    for name, folder in (("default", "emotion"), ("tuned", "tuned")):
        material = _material(folder)
        for data in material.best.records:
            (found,) = (each for each in material.seeds if data in each.scores)
            rows.append((f"`recipe={name}` on {data}", *seeds_table([found], data).rows[0][1:]))
    first = seeds_table(_material("tuned").seeds).headings
    return to_markdown(Table("recipe", ("recipe", *first[1:]), rows))


TEXTS = {"validation": "f1", "goemotions_train": "ece", "reddit_b": "ece"}
"""Sets of both kinds of text, and what is shown of each beside accuracy."""


@block
def other_text() -> str:
    """Models of one corpus, of both and of averaged weights, on text of both."""
    groups = {
        "dair-ai/emotion, 16,000 rows": "seed_",
        "4,000 of them, `logit_adjustment=1`": "few_",
        "the mean of one of all and one of few rows": "soup_1_full_1_few_",
        "the mean of two and one": "soup_2_full_1_few_",
        "the mean of three of all rows": "soup_3_full",
    }
    tuned = {
        "16,000 rows, `recipe=tuned`": "tuned_",
        "the mean of two of these and one of few rows": "soup_2_tuned_1_few_",
    }
    rows = [*_means("other_text", groups, TEXTS), *_means("other_text_tuned", tuned, TEXTS)]
    runs = _material("two_corpora").report.runs
    home, reddit = [run.corpora["home"] for run in runs], [run.evaluations["reddit_b"] for run in runs]
    accuracy, macro_f1 = fmean(each.accuracy for each in home), fmean(each.macro_f1 for each in home)
    scores = (f"{accuracy:.3f}", f"{macro_f1:.4f}", "", "", f"{fmean(each.accuracy for each in reddit):.3f}", "")
    rows.append(("dair-ai/emotion and GoEmotions", str(len(runs)), *scores))
    headings = ("dair-ai: accuracy", "macro F1", "GoEmotions: accuracy", "ECE", "reddit_b: accuracy", "ECE")
    return to_markdown(Table("trained on", ("trained on", "models", *headings), rows))


@block
def other_way_round() -> str:
    """Models of GoEmotions alone on dair-ai/emotion."""
    groups = {
        "GoEmotions, 5,272 rows": "seed_",
        "the mean of two of them": "soup",
        "with `augmentation` crop, mask and case": "augmented",
    }
    rows = _means("reverse", groups, {"home": "f1", "reddit_b": "f1"})
    headings = ("dair-ai: accuracy", "macro F1", "reddit_b: accuracy", "macro F1")
    return to_markdown(Table("trained on", ("trained on", "models", *headings), rows))


def _means(folder: str, groups: dict[str, str], figures: dict[str, str]) -> list[tuple[str, ...]]:
    """Return mean scores of checkpoints in a row for each group of them, told by the beginning of their names.

    Args:
        folder: Of the report.
        groups: The beginning of the names by the label of the row.
        figures: By evaluation set: what is shown beside accuracy, ``f1`` or ``ece``.
    """
    report = read_json(REPORTS / folder / "evaluation_report.json", EvaluationReport)
    rows = []
    for label, beginning in groups.items():
        members = [each.evaluations for name, each in report.checkpoints.items() if name.startswith(beginning)]
        if not members:
            continue
        cells = []
        for data, figure in figures.items():
            found = [each[data] for each in members]
            cells.append(f"{fmean(each.accuracy for each in found):.3f}")
            if figure == "f1":
                cells.append(f"{fmean(each.macro_f1 for each in found):.4f}")
            else:
                cells.append(f"{fmean(each.calibration.ece_after for each in found if each.calibration):.3f}")
        rows.append((label, str(len(members)), *cells))
    return rows


@block
def quality_goals() -> str:
    """What was aimed at, and what was reached."""
    default, tuned, both = (_material(folder).report.runs for folder in ("emotion", "tuned", "two_corpora"))
    f1 = {name: fmean(run.macro_f1 for run in runs) for name, runs in (("default", default), ("tuned", tuned))}
    accuracy = fmean(run.accuracy for run in tuned)
    alone, soup = _means("other_text", {"": "seed_"}, TEXTS)[0], _means("other_text_tuned", {"": "soup_2"}, TEXTS)[0]
    lost = 100 * (f1["default"] - fmean(run.corpora["home"].macro_f1 for run in both))
    reddit = fmean(run.evaluations["reddit_b"].accuracy for run in both)
    scores = json.loads((REPORTS / "other_text" / "shift_scores.json").read_text(encoding="utf-8"))
    distance = [next(each for each in scores[way] if each["score"] == "distance") for way in ("home", "reverse")]
    shift = _material("emotion").best.entry.evaluations["reddit"].shift
    assert shift is not None
    assert shift.errors is not None
    gain = shift.errors.difference
    rows = [
        (
            f"`recipe=tuned` on dair-ai/emotion, {len(tuned)} seeds",
            "macro F1 >= .916, accuracy >= .935",
            f"{f1['tuned']:.4f}, {accuracy:.4f} (`default`, three seeds: {f1['default']:.4f})",
        ),
        (
            "trained on dair-ai/emotion alone, accuracy and ECE on GoEmotions",
            ">= .53, <= .15, with <= 0.5 points of macro F1 lost at home",
            f"{alone[4]}, {alone[5]}; the mean of two of `tuned` and one of few rows {soup[4]}, {soup[5]}, with"
            f" {100 * (float(alone[3]) - float(soup[3])):+.1f} points lost",
        ),
        (
            "trained on both, accuracy on reddit_b",
            ">= .89, with <= 0.3 points lost at home",
            f"{reddit:.3f}, with {lost:.1f} points",
        ),
        (
            "other text recognised, AUROC, normalised, both ways",
            ">= .90",
            ", ".join(f"{each['normalised']:.3f}" for each in distance),
        ),
        (
            "wrong labels on reddit told by confidence, AUROC",
            "more than without the distance",
            f"{shift.errors.auroc:.3f} against {shift.errors.by_temperature:.3f}, {gain.low:+.3f} to {gain.high:+.3f}",
        ),
    ]
    return to_markdown(Table("what", ("what", "aim", "reached"), rows))


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
