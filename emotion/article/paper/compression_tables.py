"""Choose an article's tables of compressed models."""

from emotion.article.paper.cells import BOLD, BRACKETS, EMPTY, p_value, points, score
from emotion.article.paper.latex import Cell, Column, LatexTable
from emotion.reporting import BASELINE, CompressionReport, EvaluationRecord, Variant


def compression_tables(report: CompressionReport) -> list[LatexTable]:
    """Tabulate quality, latency, and scores on evaluation sets, the original first."""
    return [_variants(report), _latency(report), *_variants_on_sets(report)]


def _variants(report: CompressionReport) -> LatexTable:
    rows = []
    for name in _by_size(report):
        variant = report.variants[name]
        compared = [EMPTY] * 3
        if name != BASELINE:
            found = variant.difference
            compared = [
                points(report.points(name) / 100, None if found is None else found.interval),
                Cell("" if variant.mcnemar_holm_p is None else p_value(variant.mcnemar_holm_p)),
                Cell(f"{variant.agreement_with_original:.1%}"),
            ]
        rows.append(
            [
                Cell(name),
                Cell(f"{variant.size_mb:.1f}", variant.size_mb),
                Cell(f"{variant.speedup_batch_1:.2f}", variant.speedup_batch_1),
                Cell(f"{variant.speedup:.2f}", variant.speedup),
                Cell(f"{variant.macro_f1:.4f}", variant.macro_f1),
                *compared,
            ]
        )
    columns = [
        *(Column("variant"), Column("MB", "lower"), Column("alone", "higher"), Column("batches", "higher")),
        *(Column("macro F1", "higher"), Column("points"), Column("Holm p"), Column("agree")),
    ]
    caption = (
        f"{report.model_name} compressed, on {report.data.rows:,} validation rows: size of the file; speed, where the"
        " original has 1, one text alone and in batches of 32; macro F1, and its difference from the original with the"
        " 95 % interval of a paired bootstrap; McNemar's exact test, corrected after Holm; rows with the original's"
        f" label. {BOLD}"
    )
    return LatexTable("compression", caption, columns, rows, groups=[1])


def _latency(report: CompressionReport) -> LatexTable:
    rows = []
    for name in _by_size(report):
        latency = report.variants[name].latency
        batches = (latency.batch_1, latency.batch_8, latency.batch_32)
        spreads = (
            Cell("" if each is None else f"{each.p50_ms:.1f} / {each.p90_ms:.1f} / {each.p99_ms:.1f}")
            for each in batches
        )
        tokenise, forward = latency.batch_1.tokenise_p50_ms, latency.batch_1.forward_p50_ms
        parts = "" if tokenise is None or forward is None else f"{tokenise:.2f} + {forward:.2f}"
        rows.append([Cell(name), *spreads, Cell(parts)])
    hardware = report.environment.hardware
    threads = f", {hardware['threads']} threads" if "threads" in hardware else ""
    calls = report.variants[BASELINE].latency.batch_1.calls
    percentiles = "50th, 90th and 99th percentile" + ("" if calls is None else f" of {calls:,} calls")
    caption = (
        f"Milliseconds from texts to labels of a batch: {percentiles}, on {hardware.get('cpu', 'an unknown processor')}"
        f"{threads}. Parts: tokenisation and forward pass of one text, medians."
    )
    columns = [Column("variant"), *map(Column, ("batch of 1", "batch of 8", "batch of 32", "parts"))]
    return LatexTable("latency", caption, columns, rows, groups=[1])


def _variants_on_sets(report: CompressionReport) -> list[LatexTable]:
    tables = []
    for data in report.evaluation_sets:
        scored: list[tuple[Variant, EvaluationRecord, str]] = [
            (report.variants[name], report.variants[name].evaluations[data], name)
            for name in _by_size(report)
            if data in report.variants[name].evaluations
        ]
        rows = [
            [
                Cell(name),
                Cell(f"{variant.size_mb:.1f}", variant.size_mb),
                score(record.accuracy, None if record.intervals is None else record.intervals.accuracy),
                score(record.macro_f1, None if record.intervals is None else record.intervals.macro_f1),
            ]
            for variant, record, name in scored
        ]
        columns = [Column("variant"), Column("MB", "lower"), Column("accuracy", "higher"), Column("macro F1", "higher")]
        count = scored[0][1].data.rows
        caption = (
            f"{report.model_name} compressed, on the {count:,} rows of {data}, which chose nothing. {BRACKETS} {BOLD}"
        )
        tables.append(LatexTable(f"compression-{data}", caption, columns, rows, groups=[1]))
    return tables


def _by_size(report: CompressionReport) -> list[str]:
    """Return the names of the variants: the original, and the others by falling size."""
    return [BASELINE, *(name for name in reversed(report.ranking.by_size) if name != BASELINE)]
