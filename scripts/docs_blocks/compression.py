"""Blocks on compressed models."""

from statistics import fmean

from docs_blocks.registry import REPORTS, block, machine, wrapped
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
    means = " and ".join(f"`{name}` {fmean(points_of(name)[0]):+.2f}" for name in ("micro", "static"))
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
        "two layers with three quarters of the neurons, a half of the loss from the labels": "unchanged",
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
    "tiny, of a soup": ("tiny", tuple(f"tiny_of_soup/seed_{seed}" for seed in (1, 2, 3))),
    "micro": ("micro", ("tuned", "tuned_2", "tuned_3")),
    "static": ("static", ("tuned", "tuned_2", "tuned_3")),
}
"""What a row is called; its variant, and the folders of seeds 1, 2 and 3 that have it."""


@block
def students() -> str:
    """The students of three seeds, each beside its own teacher."""
    rows = []
    for name, (variant, _) in STUDENTS.items():
        reports = of_seeds(name)
        variants = [report.variants[variant] for report in reports]
        points, lows = points_of(name)
        sizes = max(each.size_ratio for each in variants)
        scores = (", ".join(f"{each.macro_f1:.4f}" for each in variants), ", ".join(f"{each:+.2f}" for each in points))
        rows.append((name, f"{sizes:.2%}", *scores, f"{fmean(points):+.2f}", ", ".join(f"{low:+.2f}" for low in lows)))
    originals = [report.variants[BASELINE] for report in of_seeds("tiny")]
    rows.append(("original", "100%", ", ".join(f"{each.macro_f1:.4f}" for each in originals), "", "", ""))
    headings = ("seeds 1, 2, 3", "size", "macro F1", "points", "mean", "lower end of 95 %")
    return to_markdown(Table(headings[0], headings, rows))


@block
def students_of_a_soup() -> str:
    """What a soup teaches."""
    soup = of_seeds("tiny, of a soup")[0].variants[BASELINE]
    points, _ = points_of("tiny, of a soup")
    return wrapped(
        f"The soup of the three originals has a macro F1 of {soup.macro_f1:.4f} on validation. It taught its three"
        f" students, and is what they are compared with: they lose {-fmean(points):.2f} points in the mean."
    )


def of_seeds(name: str) -> list[CompressionReport]:
    """Return the reports of a row of :data:`STUDENTS`, by seed."""
    _, folders = STUDENTS[name]
    return [_compression(folder) for folder in folders]


def points_of(name: str) -> tuple[list[float], list[float]]:
    """Return a student's points of macro F1 from its teacher, and the lower ends of their intervals, by seed."""
    variant, _ = STUDENTS[name]
    reports = of_seeds(name)
    differences = [report.variants[variant].difference for report in reports]
    return [report.points(variant) for report in reports], [
        100 * each.interval.low for each in differences if each is not None
    ]


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
