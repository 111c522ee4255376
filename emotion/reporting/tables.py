"""Hold tables as data, and render them for each place that shows one."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html

from rich import box
from rich.markup import escape as escape_rich
from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of text under headings.

    The first column names the rows and is aligned to the left; all others hold figures and are aligned to the right.
    """

    title: str
    headings: tuple[str, ...]
    """Headings with their units, such as ``MB`` or ``train s``."""
    rows: Sequence[tuple[str, ...]]
    """Each as long as ``headings``."""
    best: str | None = None
    """Name of the row to emphasise."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"{self.title}: each row must have {len(self.headings)} cells, found {row}")


def to_console(table: Table) -> RichTable:
    """Render for a terminal."""
    rendered = RichTable(
        title=escape_rich(table.title), title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True
    )
    for place, heading in enumerate(table.headings):
        rendered.add_column(escape_rich(heading), justify="right" if place else "left", no_wrap=True)
    for row in table.rows:
        cells = [escape_rich(cell) for cell in row]
        if row[0] == table.best:
            cells[0] = f"[bold]{cells[0]} *[/]"
        rendered.add_row(*cells)
    return rendered


def to_markdown(table: Table) -> str:
    """Render for Markdown, with the title as the heading of the first column."""
    headings = (table.title, *table.headings[1:])
    lines = [headings, tuple("---:" if place else "---" for place in range(len(headings)))]
    for row in table.rows:
        first = f"**{row[0]}**" if row[0] == table.best else row[0]
        lines.append((first, *row[1:]))
    escaped = [[cell.replace("|", r"\|") for cell in cells] for cells in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)


def to_html(table: Table) -> str:
    """Render for HTML."""

    def cells(tag: str, row: Sequence[str]) -> str:
        first = (
            f'<th scope="row">{escape_html(row[0])}</th>'
            if tag == "td"
            else f'<th scope="col">{escape_html(row[0])}</th>'
        )
        return first + "".join(f"<{tag}>{escape_html(cell)}</{tag}>" for cell in row[1:])

    rows = []
    for row in table.rows:
        start = '<tr class="best">' if row[0] == table.best else "<tr>"
        rows.append(f"{start}{cells('td', row)}</tr>")
    return "\n".join(
        [
            "<table>",
            f"<caption>{escape_html(table.title)}</caption>",
            f"<thead><tr>{cells('th', table.headings)}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            "</table>",
        ]
    )
