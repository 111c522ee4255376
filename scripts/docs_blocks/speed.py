"""Blocks on speed: docs/speed.md, and that of servers in docs/serving.md."""

from docs_blocks.registry import REPORTS, block, machine, wrapped
from emotion.reporting import (
    BenchmarkReport,
    read_json,
)
from emotion.reporting.benchmark_tables import benchmark_tables, utilisation_note
from emotion.reporting.tables import to_markdown


@block
def speed() -> str:
    """Speed against other tools."""
    report = read_json(REPORTS / "speed" / "benchmark_report.json", BenchmarkReport)
    shown = [to_markdown(table) for name, table in benchmark_tables(report).items() if name != "compression"]
    return "\n\n".join([wrapped(machine(report)), *shown, wrapped(utilisation_note(report))])


@block
def speed_compressed() -> str:
    """Speed of compressed models against transformers."""
    shown = []
    for path in sorted(REPORTS.glob("speed*/benchmark_report.json")):
        table = benchmark_tables(read_json(path, BenchmarkReport)).get("compression")
        shown += [] if table is None else [to_markdown(table)]
    return "\n\n".join(shown)


@block
def serving() -> str:
    """Speed of servers."""
    report = read_json(REPORTS / "serving" / "benchmark_report.json", BenchmarkReport)
    return "\n\n".join([to_markdown(benchmark_tables(report)["serving"]), wrapped(machine(report))])
