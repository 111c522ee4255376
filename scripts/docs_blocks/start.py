"""Blocks of the README."""

import io

from rich.console import Console

from docs_blocks.registry import block, read_material
from emotion.article import Material
from emotion.article.page import interval_of
from emotion.reporting import (
    VALIDATION,
    ScoresRecord,
)
from emotion.reporting.report_tables import (
    models_table,
)
from emotion.reporting.tables import Table, to_console, to_markdown


@block
def start() -> str:
    """What the first command of the README prints."""
    console = Console(file=io.StringIO(), width=100)
    console.print(to_console(models_table(read_material("sample").report)))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in printed.splitlines()]
    return "\n".join(["```", *(line for line in lines if line), "```"])


@block
def results() -> str:
    """Quality on each corpus and set, and over seeds."""
    rows = []
    for corpus, folder in (("dair-ai/emotion", "emotion"), ("the sample corpus", "sample")):
        material = read_material(folder)
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
