"""Blocks on the speed of models beside an earlier version, and on what was aimed at with them."""

import json
from statistics import fmean
from typing import Any

from docs_blocks.compression import of_seeds, points_of
from docs_blocks.registry import REPORTS, block, read_material, wrapped
from emotion.reporting.tables import Table, to_markdown

MEASURED, TRAINED = "zen_4", "faster_epyc"
"""The record whose milliseconds are shown, and the one of students that were trained."""
PROCESSORS = {
    MEASURED: "Zen 4",
    "zen_4_avx2": "AVX2",
    TRAINED: "faster EPYC",
}
"""By the name of its record, what a processor is called."""
ORIGINAL = "FP32 .pt of 257c271"


@block
def versions() -> str:
    """Speed of this version and of an earlier one."""
    record = _record(MEASURED)
    sides = record["sides"]
    rows = [
        (
            name,
            f"{each['size_mb']:.1f}",
            f"{each['alone_ms']:.2f} ({_speedup(sides, name, 'alone_ms'):.1f}x)",
            f"{each['batch_ms']:.1f} ({_speedup(sides, name, 'batch_ms'):.1f}x)",
            f"{each['rows_per_second']:,.0f}",
            f"{each['memory_mb']:.0f}",
        )
        for name, each in sides.items()
    ]
    headings = ("model", "MB", "ms, one text", "ms, 32 texts", f"rows/s, {record['rows']:,} short rows", "MB, process")
    hardware = record["hardware"]
    place = f"On {hardware['cpu']}, {hardware['threads']} threads; medians of {record['rounds']} rounds."
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{wrapped(place)}"


@block
def versions_elsewhere() -> str:
    """The same on other processors."""
    others = {key: name for key, name in PROCESSORS.items() if key != MEASURED}
    records = {key: _record(key) for key in others}
    rows = [
        (
            name,
            *(
                cell
                for record in records.values()
                for cell in (
                    f"{_speedup(record['sides'], name, 'alone_ms'):.1f}x",
                    f"{_speedup(record['sides'], name, 'batch_ms'):.1f}x",
                    f"{record['sides'][name]['rows_per_second']:,.0f}",
                )
            ),
        )
        for name in _record(MEASURED)["sides"]
    ]
    figures = ("one text", "32 texts", "rows/s")
    headings = ("model", *(f"{name}: {figure}" for name in others.values() for figure in figures))
    trained = _record(TRAINED)
    same = [name for name in ("onnx_int8", "small", "tiny") if _labels_agree(trained["sides"], name)]
    labels = (
        f"With the files {', '.join(same)} of the run on the faster EPYC, both versions give all"
        f" {trained['rows']:,} rows the same labels."
    )
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{wrapped(labels)}"


def _labels_agree(sides: dict[str, Any], name: str) -> bool:
    return bool(sides[f"{name} of 257c271"]["labels"] == sides[f"that {name}, now"]["labels"])


def _speedup(sides: dict[str, Any], name: str, figure: str) -> float:
    """Return how many times as fast as the original a side is."""
    return float(sides[ORIGINAL][figure] / sides[name][figure])


def _record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPORTS / "versions" / f"{name}.json").read_text(encoding="utf-8"))
    return found


@block
def frontier_goals() -> str:
    """What was aimed at with compressed models, and what was reached."""
    records = [_record(name)["sides"] for name in PROCESSORS]
    svm = read_material("tuned").best.entry.baselines["tfidf_svm"].macro_f1

    def size(name: str, aim: float) -> tuple[str, str, str]:
        reached = max(report.variants[name].size_ratio for report in of_seeds(name))
        return f"<= {aim:.0%}", f"{reached:.2%}", _met([reached <= aim])

    def speed(name: str, figure: str, aim: float) -> tuple[str, str, str]:
        reached = [_speedup(sides, name, figure) for sides in records]
        return f">= {aim:g}x", ", ".join(f"{each:.1f}x" for each in reached), _met([each >= aim for each in reached])

    def loss(name: str, aim: float) -> tuple[str, str, str]:
        points, _ = points_of(name)
        return f"<= {aim:g} points", f"{-fmean(points):.2f}", _met([-fmean(points) <= aim])

    def lows(name: str, aim: float) -> tuple[str, str, str]:
        _, found = points_of(name)
        return f">= {aim:g} points", ", ".join(f"{low:+.2f}" for low in found), _met([min(found) >= aim])

    def gain(name: str, before: str, aim: float) -> tuple[str, str, str]:
        reached = [sides[name]["rows_per_second"] / sides[before]["rows_per_second"] for sides in records]
        return f">= {aim:g}x", ", ".join(f"{each:.2f}x" for each in reached), _met([each >= aim for each in reached])

    scores = [report.variants["static"].macro_f1 for report in of_seeds("static")]
    static = (f"> {svm:.4f}", ", ".join(f"{score:.4f}" for score in scores), _met([min(scores) > svm]))
    rows = [
        ("`tiny`: size", *size("tiny", 0.06)),
        ("`tiny`: one text", *speed("tiny", "alone_ms", 12)),
        ("`tiny`: batches of 32", *speed("tiny", "batch_ms", 10)),
        ("`tiny`: macro F1 lost, mean of three seeds", *loss("tiny", 0.5)),
        ("`tiny`: lower ends of the 95 % intervals", *lows("tiny", -1.5)),
        ("`tiny` of a soup: macro F1 lost, mean of three seeds", *loss("tiny, of a soup", 0.5)),
        ("`tiny` of a soup: lower ends of the 95 % intervals", *lows("tiny, of a soup", -1.5)),
        ("`micro`: size", *size("micro", 0.03)),
        ("`micro`: batches of 32", *speed("micro", "batch_ms", 25)),
        ("`micro`: one text", *speed("micro", "alone_ms", 25)),
        ("`micro`: macro F1 lost, mean of three seeds", *loss("micro", 2.0)),
        ("`static`: batches of 32", *speed("static", "batch_ms", 50)),
        ("`static`: one text", *speed("static", "alone_ms", 50)),
        ("`static`: macro F1 of each seed, against TF-IDF with a linear SVM", *static),
        ("20,000 short rows: the `tiny` of 257c271, now", *gain("that tiny, now", "tiny of 257c271", 2.3)),
        ("20,000 short rows: today's `tiny`, against that of 257c271", *gain("tiny", "tiny of 257c271", 4)),
        ("20,000 short rows: `micro`, against that `tiny`", *gain("micro", "tiny of 257c271", 4)),
        ("20,000 short rows: the `small` of 257c271, now", *gain("that small, now", "small of 257c271", 1.7)),
        (
            "20,000 short rows: the `onnx_int8` of 257c271, now",
            *gain("that onnx_int8, now", "onnx_int8 of 257c271", 1.2),
        ),
    ]
    return to_markdown(Table("what", ("what", "aim", "reached", "met"), rows))


def _met(met: list[bool]) -> str:
    """Return whether an aim is met on all, some or none of the processors."""
    if 0 < sum(met) < len(met):
        return f"on {sum(met)} of {len(met)}"
    return "yes" if all(met) else "**no**"
