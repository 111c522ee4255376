"""Blocks of docs/scale.md."""

import json
from pathlib import Path

from docs_blocks.registry import REPORTS, block, wrapped
from emotion.reporting.tables import Table, to_markdown

PARTITIONS = REPORTS / "scale" / "partitions.json"
BILLION = 1_000_000_000
PRICE = 0.04
"""US dollars for an hour of one core, an assumption: what clouds ask for machines that they may take back is less."""


@block
def partitions() -> str:
    """How fast many files are predicted, by each way of doing so."""
    return _sides(PARTITIONS)


@block
def million() -> str:
    """The same for a million rows."""
    return _sides(PARTITIONS.with_name("million.json"))


def _sides(path: Path) -> str:
    record = json.loads(path.read_text(encoding="utf-8"))
    first = next(iter(record["sides"].values()))["rows/s"]
    rows = [
        (side, f"{each['rows/s']:,.0f}", f"{each['rows/s'] / first:.2f}", f"{each['seconds']:.0f}", f"{each['MB']:.0f}")
        for side, each in record["sides"].items()
    ]
    headings = (
        f"{record['workers']} at a time",
        "rows/s",
        "times the first",
        "s, whole command",
        "MB, largest process",
    )
    hardware, rounds = record["hardware"], record["rounds"]
    machine = (
        f"{record['rows']:,} rows in {record['files']} files, on {hardware['cpu']}, {hardware['threads']} threads;"
        f" {'one round' if rounds == 1 else f'medians of {rounds} rounds'}."
    )
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{wrapped(machine)}"


@block
def billion() -> str:
    """What a billion rows would take, computed from what was measured."""
    record = json.loads(PARTITIONS.read_text(encoding="utf-8"))
    speed = record["sides"]["workers"]["rows/s"] / record["workers"]
    hours = BILLION / speed / 3600
    return wrapped(
        f"From {speed:,.0f} rows a second and core: a billion rows take {hours:,.0f} core hours, {hours / 64:.1f} hours"
        f" on 64 cores, {PRICE * hours:.2f} dollars at an assumed {PRICE:.2f} dollars a core hour."
    )
