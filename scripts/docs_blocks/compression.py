"""Blocks on compressed models."""

import json
from statistics import fmean
from typing import Any

from docs_blocks.registry import REPORTS, block, machine, read_material, wrapped
from emotion.article.page import comparisons_table, variants_table
from emotion.reporting import (
    BASELINE,
    CompressionReport,
    EvaluationReport,
    read_json,
)
from emotion.reporting.report_tables import (
    checkpoint_tables,
)
from emotion.reporting.tables import Table, to_markdown

COMPRESSION = "compression_results/compression_report.json"


@block
def techniques() -> str:
    """Which technique to choose."""
    report = compression()
    wishes = {
        "onnx_int8": "a smaller and faster model, with no training",
        "small": "the smallest loss at an eighth of the size",
        "micro": "a fiftieth of the size",
        "static": "the fastest, without a Transformer",
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
    rows.append(("several of these, and the smallest that loses little", "`frontier`", "", "", "", ""))
    headings = ("you want", "`technique=`", "size", "speed on a CPU", "macro F1, points", "95 %")
    means = " and ".join(f"`{name}` {fmean(_points(name)[0]):+.2f}" for name in ("micro", "static"))
    note = f"Points are those of one seed; over three, each with its own original, the mean is {means}."
    return f"{to_markdown(Table('you want', headings, rows))}\n\n{wrapped(f'{note} {machine(report)}')}"


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
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{wrapped(f'{calls} calls each. {machine(report)}')}"


@block
def attempts() -> str:
    """What changes of a student's training and of its shape do, on rows that were set apart."""
    tried = {
        "two layers with three quarters of the neurons, a half of the loss from the labels": "base",
        "learning rate 3e-4": "rate",
        "no labels, the teacher's answers alone (`soft_weight=1`)": "soft",
        "changed and joined copies (`augmented_copies=1 joined_copies=1`)": "copies",
        "GoEmotions' rows without labels (`unlabelled`)": "unlabelled",
        "no labels, and copies": "soft_copies",
        "no labels, copies, GoEmotions' rows, 6 epochs": "all",
        "no labels, embeddings of half the rank (`factorize_embeddings`)": "factorized",
        "no labels, copies, GoEmotions' rows, 6 epochs, one layer with half of the neurons, rank 128": "one_layer",
    }
    rows = []
    for words, folder in tried.items():
        report = _compression(f"students/{folder}")
        (name,) = (each for each in report.variants if each != BASELINE)
        variant = report.variants[name]
        assert variant.difference is not None
        found = variant.difference.interval
        interval = f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"
        rows.append(
            (words, f"{variant.size_mb:.1f}", f"{variant.macro_f1:.4f}", f"{report.points(name):+.2f}", interval)
        )
    headings = ("student", "MB", "macro F1", "points", "95 %")
    return to_markdown(Table("student", headings, rows))


STUDENTS = {
    "tiny": ("tiny", ("tuned", "tuned_2", "tuned_3")),
    "tiny, 12 epochs": ("tiny", tuple(f"tiny_12_epochs/seed_{seed}" for seed in (1, 2, 3))),
    "micro": ("micro", ("tuned", "tuned_2", "tuned_3")),
    "static": ("static", ("tuned", "tuned_2", "tuned_3")),
}
"""What a row is called; its variant, and the folders of seeds 1, 2 and 3 that have it."""


@block
def students() -> str:
    """The students of three seeds, each beside its own teacher."""
    rows = []
    for name, (variant, _) in STUDENTS.items():
        reports = _of_seeds(name)
        variants = [report.variants[variant] for report in reports]
        points, lows = _points(name)
        sizes = max(each.size_ratio for each in variants)
        scores = (", ".join(f"{each.macro_f1:.4f}" for each in variants), ", ".join(f"{each:+.2f}" for each in points))
        rows.append((name, f"{sizes:.2%}", *scores, f"{fmean(points):+.2f}", ", ".join(f"{low:+.2f}" for low in lows)))
    originals = [report.variants[BASELINE] for report in _of_seeds("tiny")]
    rows.append(("original", "100%", ", ".join(f"{each.macro_f1:.4f}" for each in originals), "", "", ""))
    headings = ("seeds 1, 2, 3", "size", "macro F1", "points", "mean", "lower end of 95 %")
    return to_markdown(Table(headings[0], headings, rows))


@block
def student_of_soup() -> str:
    """A student of a soup."""
    report = _compression("tiny_of_soup")
    tiny, original = report.variants["tiny"], report.variants[BASELINE]
    assert tiny.difference is not None
    found = tiny.difference.interval
    return wrapped(
        f"A soup of the three originals (`soup.py method=uniform`) has a macro F1 of {original.macro_f1:.4f} on"
        f" validation. `tiny`, taught by it with seed 1, has {tiny.macro_f1:.4f}: {report.points('tiny'):+.2f} points,"
        f" 95 % {100 * found.low:+.2f} to {100 * found.high:+.2f}. One student cannot tell that from noise."
    )


def _of_seeds(name: str) -> list[CompressionReport]:
    _, folders = STUDENTS[name]
    return [_compression(folder) for folder in folders]


def _points(name: str) -> tuple[list[float], list[float]]:
    """Return a student's points of macro F1 from its teacher, and the lower ends of their intervals, by seed."""
    variant, _ = STUDENTS[name]
    reports = _of_seeds(name)
    differences = [report.variants[variant].difference for report in reports]
    return [report.points(variant) for report in reports], [
        100 * each.interval.low for each in differences if each is not None
    ]


@block
def versions() -> str:
    """Speed of this version and of an earlier one."""
    record = _versions()
    sides = record["sides"]
    first = next(iter(sides.values()))
    rows = [
        (
            name,
            f"{each['size_mb']:.1f}",
            f"{each['alone_ms']:.2f} ({first['alone_ms'] / each['alone_ms']:.1f}x)",
            f"{each['batch_ms']:.1f} ({first['batch_ms'] / each['batch_ms']:.1f}x)",
            f"{each['rows_per_second']:,.0f}",
            f"{each['memory_mb']:.0f}",
        )
        for name, each in sides.items()
    ]
    headings = ("model", "MB", "ms, one text", "ms, 32 texts", f"rows/s, {record['rows']:,} short rows", "MB, process")
    hardware = record["hardware"]
    same = [name for name in ("onnx_int8", "small", "tiny") if _labels_agree(sides, name)]
    place = (
        f"On {hardware['cpu']}, {hardware['threads']} threads; medians of {record['rounds']} rounds. With the files"
        f" {', '.join(same)} of 257c271, both versions give all {record['rows']:,} rows the same labels."
    )
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{wrapped(place)}"


def _labels_agree(sides: dict[str, Any], name: str) -> bool:
    return bool(sides[f"{name} of 257c271"]["labels"] == sides[f"that {name}, now"]["labels"])


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPORTS / "tuned" / "versions.json").read_text(encoding="utf-8"))
    return found


@block
def frontier_goals() -> str:
    """What was aimed at with compressed models, and what was reached."""
    sides = _versions()["sides"]
    first = sides["FP32 .pt of 257c271"]
    svm = read_material("tuned").best.entry.baselines["tfidf_svm"].macro_f1

    def size(name: str, aim: float) -> tuple[str, str, str]:
        reached = max(report.variants[name].size_ratio for report in _of_seeds(name))
        return f"<= {aim:.0%}", f"{reached:.2%}", _met(reached <= aim)

    def speed(name: str, figure: str, aim: float) -> tuple[str, str, str]:
        reached = first[figure] / sides[name][figure]
        return f">= {aim:g}x", f"{reached:.1f}x", _met(reached >= aim)

    def loss(name: str, aim: float) -> tuple[str, str, str]:
        points, _ = _points(name)
        return f"<= {aim:g} points", f"{-fmean(points):.2f}", _met(-fmean(points) <= aim)

    def lows(name: str, aim: float) -> tuple[str, str, str]:
        _, found = _points(name)
        return f">= {aim:g} points", ", ".join(f"{low:+.2f}" for low in found), _met(min(found) >= aim)

    def gain(name: str, before: str, aim: float) -> tuple[str, str, str]:
        reached = sides[name]["rows_per_second"] / sides[before]["rows_per_second"]
        return f">= {aim:g}x", f"{reached:.2f}x", _met(reached >= aim)

    scores = [report.variants["static"].macro_f1 for report in _of_seeds("static")]
    static = (f"> {svm:.4f}", ", ".join(f"{score:.4f}" for score in scores), _met(min(scores) > svm))
    rows = [
        ("`tiny`: size", *size("tiny", 0.06)),
        ("`tiny`: one text", *speed("tiny", "alone_ms", 12)),
        ("`tiny`: batches of 32", *speed("tiny", "batch_ms", 10)),
        ("`tiny`: macro F1 lost, mean of three seeds", *loss("tiny", 0.5)),
        ("`tiny`: lower ends of the 95 % intervals", *lows("tiny", -1.5)),
        ("`micro`: size", *size("micro", 0.03)),
        ("`micro`: batches of 32", *speed("micro", "batch_ms", 25)),
        ("`micro`: one text", *speed("micro", "alone_ms", 25)),
        ("`micro`: macro F1 lost, mean of three seeds", *loss("micro", 2.0)),
        ("`static`: batches of 32", *speed("static", "batch_ms", 50)),
        ("`static`: one text", *speed("static", "alone_ms", 50)),
        ("`static`: macro F1 of each seed, against TF-IDF with a linear SVM", *static),
        (
            "20,000 short rows: the `tiny` of 257c271, now",
            *gain("that tiny, now", "tiny of 257c271", 2.3),
        ),
        ("20,000 short rows: today's `tiny`, against that of 257c271", *gain("tiny", "tiny of 257c271", 4)),
        ("20,000 short rows: the `small` of 257c271, now", *gain("that small, now", "small of 257c271", 1.7)),
        (
            "20,000 short rows: the `onnx_int8` of 257c271, now",
            *gain("that onnx_int8, now", "onnx_int8 of 257c271", 1.2),
        ),
    ]
    return to_markdown(Table("what", ("what", "aim", "reached", "met"), rows))


def _met(met: bool) -> str:
    return "yes" if met else "**no**"


@block
def bits() -> str:
    """INT8 with 7 and 8 bits against FP32."""
    report = read_json(REPORTS / "bits" / "evaluation_report.json", EvaluationReport)
    tables = [*checkpoint_tables(report), comparisons_table(report.comparisons)]
    return "\n\n".join(map(to_markdown, tables))


def compression() -> CompressionReport:
    """Read the report of the compressed models of the real data."""
    return _compression("tuned")


def _compression(folder: str) -> CompressionReport:
    return read_json(REPORTS / folder / COMPRESSION, CompressionReport)
