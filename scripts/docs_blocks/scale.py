"""Blocks of docs/scale.md."""

import json

from docs_blocks.registry import REPORTS, block, wrapped
from emotion.reporting.tables import Table, to_markdown

BILLION = 1_000_000_000
PRICE = 0.04
"""US dollars for an hour of one core, an assumption: what clouds ask for machines that they may take back is less."""


@block
def partitions() -> str:
    """How fast many files are predicted, by each way of doing so."""
    rows = []
    for name in ("partitions", "partitions_million"):
        path = REPORTS / "scale" / f"{name}.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        first = next(iter(record["sides"].values()))["rows/s"]
        for side, found in record["sides"].items():
            cells = (f"{found['rows/s']:,.0f}", f"{found['rows/s'] / first:.2f}", f"{found['seconds']:.0f}")
            rows.append((f"{record['rows']:,} in {record['files']} files", side, *cells, f"{found['MB']:.0f}"))
    headings = ("rows", "two at a time", "rows/s", "times the first", "s, whole command", "MB, largest process")
    hardware = record["hardware"]
    machine = f"On {hardware['cpu']}, {hardware['threads']} threads, medians of {record['rounds']} rounds."
    return f"{to_markdown(Table(headings[0], headings, rows))}\n\n{wrapped(machine)}"


@block
def billion() -> str:
    """What a billion rows would take, computed from what was measured."""
    record = json.loads((REPORTS / "scale" / "partitions_million.json").read_text(encoding="utf-8"))
    speed = record["sides"]["workers"]["rows/s"] / record["workers"]
    hours = BILLION / speed / 3600
    return wrapped(
        f"From {speed:,.0f} rows a second and core: a billion rows take {hours:,.0f} core hours, {hours / 64:.1f} hours"
        f" on 64 cores, {PRICE * hours:.2f} dollars at an assumed {PRICE:.2f} dollars a core hour."
    )
