"""Blocks on speed: docs/speed.md, and that of servers in docs/serving.md."""

import json
from pathlib import Path
from typing import Any

from docs_blocks.registry import REPORTS, block, machine, wrapped
from emotion.reporting import (
    BenchmarkReport,
    read_json,
)
from emotion.reporting.benchmark_tables import benchmark_tables, utilisation_note
from emotion.reporting.tables import Table, to_markdown


@block
def speed() -> str:
    """Speed against other tools."""
    report = read_json(REPORTS / "speed" / "benchmark_report.json", BenchmarkReport)
    shown = [to_markdown(table) for name, table in benchmark_tables(report).items() if name != "compression"]
    return "\n\n".join([wrapped(machine(report)), *shown, wrapped(utilisation_note(report))])


@block
def speed_predictions() -> str:
    """Speed of predictions, measured again on another machine."""
    report = read_json(REPORTS / "predictions" / "benchmark_report.json", BenchmarkReport)
    return f"{to_markdown(benchmark_tables(report)['prediction'])}\n\n{wrapped(machine(report))}"


@block
def speed_compressed() -> str:
    """Speed of compressed models against transformers."""
    report = read_json(REPORTS / "compressed" / "benchmark_report.json", BenchmarkReport)
    return f"{to_markdown(benchmark_tables(report)['compression'])}\n\n{wrapped(machine(report))}"


@block
def serving() -> str:
    """Speed of servers."""
    report = read_json(REPORTS / "serving" / "benchmark_report.json", BenchmarkReport)
    return "\n\n".join([to_markdown(benchmark_tables(report)["serving"]), wrapped(machine(report))])


@block
def soak() -> str:
    """How servers stood a long load, and too much of it."""
    records = [_record(path.name) for path in sorted((REPORTS / "serving").glob("soak_*.json"))]
    headings = ("model", "texts/s", "answered", "p50, p99, ms", "MB: first, last, most", "overload", "s until answered")
    rows = []
    for record in records:
        steady, overload = record["steady"], record["overload"]
        memory = steady["memory_mb"]
        rows.append(
            (
                Path(record["model"]).stem,
                f"{steady['requests_per_second']:,.0f} of {record['as_fast_as_possible']['requests_per_second']:,.0f}",
                _statuses(steady["statuses"]),
                f"{steady['p50_ms']:.1f}, {steady['p99_ms']:.1f}",
                f"{memory['first']:.0f}, {memory['last']:.0f}, {memory['most']:.0f}",
                _statuses(overload["statuses"]),
                f"{overload['seconds_until_answered']:.2f}",
            )
        )
    told = f"{records[0]['minutes']:g} minutes, {records[0]['clients']} clients. {_place(records[0])}"
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{wrapped(told)}"


@block
def page_speed() -> str:
    """Size and speed of the page in a browser."""
    record = _record("page.json")
    headings = ("model", "MB", "s to the first answer", "p50, ms", "p99, ms", "labels not Python's")
    rows = [
        (
            name,
            f"{each['size_mb']:.1f}",
            f"{each['first_seconds']:.2f}",
            f"{each['p50_ms']:.1f}",
            f"{each['p99_ms']:.1f}",
            f"{each['other_labels']} of {record['rows']:,}",
        )
        for name, each in record["models"].items()
    ]
    told = f"Medians of {record['rounds']} rounds in headless Chromium. {_place(record)}"
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{wrapped(told)}"


def _record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPORTS / "serving" / name).read_text(encoding="utf-8"))
    return found


def _place(record: dict[str, Any]) -> str:
    return f"On {record['hardware']['cpu']}, {record['hardware']['threads']} threads."


def _statuses(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} times {status}" for status, count in sorted(counts.items()))
