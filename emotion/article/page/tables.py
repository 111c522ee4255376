"""Tabulate what the page shows beside the tables of :mod:`emotion.reporting.report_tables`."""

from collections.abc import Sequence

from emotion.evaluation import Interval, LengthBucket
from emotion.reporting import BASELINE, Comparison, CompressionReport, ScoresRecord, Variant
from emotion.reporting.report_tables import class_table
from emotion.reporting.tables import Table


def interval_text(found: Interval | None) -> str:
    """Write an interval of a score; "" if there is none."""
    return "" if found is None else f"{found.low:.3f}-{found.high:.3f}"


def interval_of(record: ScoresRecord) -> str:
    """Write the interval of macro F1; "" for reports of versions without one."""
    return interval_text(None if record.intervals is None else record.intervals.macro_f1)


def comparisons_table(comparisons: Sequence[Comparison]) -> Table:
    """Tabulate the paired comparisons of models, in points of macro F1."""
    rows = []
    for each in comparisons:
        needed = "" if each.rows_needed is None else f"{each.rows_needed:,}"
        own = "" if each.difference_holm_p is None else f"{each.difference_holm_p:.2g}"
        tests = (own, f"{each.mcnemar_p:.2g}", f"{each.holm_p:.2g}", _yes(each.is_distinguishable), needed)
        points = _points(each.difference.difference)
        pair = f"{each.first}, {each.second}"
        rows.append((pair, each.data, f"{each.rows:,}", points, _points_of(each.difference.interval), *tests))
    headings = ("models", "on", "rows", "points", "95 %", "p", "McNemar p", "its Holm p", "told apart", "rows needed")
    title = "Differences of macro F1 on the same rows (p: of no difference, after Holm)"
    return Table(title, headings, rows)


def classes_table(name: str, data: str, record: ScoresRecord) -> Table:
    """Tabulate the scores of each class, with the interval of its F1."""
    plain = class_table(f"Classes of {name} on {data}", record.per_class)
    found = {} if record.intervals is None else record.intervals.per_class_f1
    rows = [(*cells[:4], interval_text(found.get(cells[0])), cells[4]) for cells in plain.rows]
    return Table(plain.title, (*plain.headings[:4], "95 %", plain.headings[4]), rows)


def lengths_table(name: str, data: str, buckets: Sequence[LengthBucket]) -> Table:
    """Tabulate scores by length of text."""
    rows = [
        (
            f"{each.shortest:,}-{each.longest:,}" if each.longest > each.shortest else f"{each.shortest:,}",
            f"{each.rows:,}",
            f"{each.accuracy:.4f}",
            f"{each.macro_f1:.4f}",
        )
        for each in buckets
    ]
    return Table(f"{name} on {data} by length of text", ("words", "rows", "accuracy", "macro F1"), rows)


def variants_table(report: CompressionReport) -> Table:
    """Tabulate the compressed variants with their difference from the original, the smallest file first."""
    rows = []
    for name in report.ranking.by_size:
        variant = report.variants[name]
        size = (f"{variant.size_mb:.1f}", f"{variant.size_ratio:.0%}")
        speed = (f"{variant.speedup:.2f}", f"{variant.speedup_batch_1:.2f}")
        rows.append((name, *size, *speed, f"{variant.macro_f1:.4f}", *_compared(name, variant, report)))
    headings = ("variant", "MB", "size", "speed", "alone", "macro F1", "points", "95 %", "Holm p", "agree")
    title = f"{report.model_name} compressed (speed: times the original's, in batches of 32 and alone)"
    return Table(title, headings, rows, best=None if report.chosen is None else report.chosen.variant)


def variants_on_sets_tables(report: CompressionReport) -> list[Table]:
    """Tabulate the compressed variants on each evaluation set, the smallest file first."""
    tables = []
    for data in report.evaluation_sets:
        scored = [
            (name, report.variants[name].evaluations[data])
            for name in report.ranking.by_size
            if data in report.variants[name].evaluations
        ]
        rows = [
            (name, f"{each.data.rows:,}", f"{each.accuracy:.4f}", f"{each.macro_f1:.4f}", interval_of(each))
            for name, each in scored
        ]
        headings = ("variant", "rows", "accuracy", "macro F1", "95 %")
        tables.append(Table(f"{report.model_name} compressed, on {data}, which chose nothing", headings, rows))
    return tables


def _compared(name: str, variant: Variant, report: CompressionReport) -> tuple[str, str, str, str]:
    if name == BASELINE:
        return "", "", "", ""
    found = "" if variant.difference is None else _points_of(variant.difference.interval)
    holm_p = "" if variant.mcnemar_holm_p is None else f"{variant.mcnemar_holm_p:.2g}"
    return f"{report.points(name):+.2f}", found, holm_p, f"{variant.agreement_with_original:.1%}"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"


def _points_of(found: Interval) -> str:
    return f"{_points(found.low)} to {_points(found.high)}"


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"
