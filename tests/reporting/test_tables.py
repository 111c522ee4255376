"""One table, rendered for each place that shows it."""

import io
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console

from emotion.reporting.tables import Table, to_console, to_html, to_markdown

TABLE = Table("Two & more", ("model", "macro F1", "size %"), [("a_b", "0.91", "12 %"), ("<c>|", "[0.89]", "")], "a_b")


def test_a_terminal_shows_every_cell_as_it_is() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(to_console(TABLE))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("Two & more", "a_b *", "0.91", "<c>|", "[0.89]"):
        assert text in printed


def test_a_terminal_shows_titles_and_headings_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(to_console(Table("my[bold] by [/]", ("[red]x", "[/y]"), [("a", "b")])))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("my[bold] by [/]", "[red]x", "[/y]"):
        assert text in printed


def test_markdown_has_one_line_per_row() -> None:
    assert to_markdown(TABLE).splitlines() == [
        "| Two & more | macro F1 | size % |",
        "| --- | ---: | ---: |",
        "| **a_b** | 0.91 | 12 % |",
        "| <c>\\| | [0.89] |  |",
    ]


def test_html_is_well_formed_and_escaped() -> None:
    root = ElementTree.fromstring(to_html(TABLE))
    assert root.findtext("caption") == "Two & more"
    rows = [[cell.text or "" for cell in row] for row in root.findall("tbody/tr")]
    assert rows == [list(row) for row in TABLE.rows]
    assert [cell.text for cell in root.findall("thead/tr/th")] == list(TABLE.headings)


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="each row must have 2 cells"):
        Table("t", ("a", "b"), [("1",)])
