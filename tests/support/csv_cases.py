"""CSVs of known cells, drawn at random: odd characters, forms and damages."""

import codecs
import csv
import gzip
import io
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

ODD = [
    *(
        '"',
        "\\",
        '\\"',
        ",",
        ";",
        "\t",
        "|",
        "\n",
        "\r",
        "\r\n",
        " ",
        "'",
        ".",
        "=1+1",
        "+",
        "-",
        "@you",
        "#",
        "None",
        "\\N",
    ),
    *(
        "\u2028",
        "\x85",
        "\x0b",
        "\x0c",
        "\x1a",
        "\x1c",
        "\ufeff",
        "\u0301",
        "\u202e",
        "\xa0",
        "\u200d",
        'end"of',
        "http://x",
    ),
    *("happy", "so sad", "café", "\u201cwhy\u201d", "\u65e5\u672c", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
]
LONG = 140_000
"""Characters of a cell beyond the default limit of Python's csv module."""
CELLS = st.one_of(
    st.lists(st.sampled_from(ODD), max_size=6).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)
RARE_CELLS = ["\0", "a\0b", "very long " * (LONG // 10), '"' * LONG, "\\" * LONG]
NAMES = ["id", "label", "note", "note", " padded ", "", "b\u00fccher", 'a "b"', "two\nlines", "comma, separated", "\\"]
ENCODINGS = {
    "utf-8": b"",
    "utf-8 ": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "cp1252": b"",
}


@dataclass(frozen=True)
class CsvCase:
    """A CSV and what is in it."""

    content: bytes
    """As in the file, before it is compressed."""
    compressed: bool
    columns: list[str]
    rows: list[list[str]]
    damaged: bool
    """Whether the content was changed after it was written, so that nobody can know its cells."""

    def file(self) -> bytes:
        return gzip.compress(self.content, 1) if self.compressed else self.content


@st.composite
def csv_cases(draw: st.DrawFn) -> CsvCase:
    columns = draw(st.lists(st.sampled_from(NAMES), max_size=3))
    columns.insert(draw(st.integers(0, len(columns))), "text")
    rows = draw(st.lists(st.lists(CELLS, min_size=len(columns), max_size=len(columns)), min_size=1, max_size=12))
    if draw(st.integers(0, 19)) == 11:
        draw(st.sampled_from(rows))[0] = draw(st.sampled_from(RARE_CELLS))
    content = _encoded(draw, _written(draw, columns, rows))
    damage = draw(st.sampled_from([None] * 6 + [_change_bytes, _cut, _insert, _double, _swap_lines]))
    damaged = content if damage is None else damage(draw, content)
    compressed = draw(st.integers(0, 9)) == 0
    return CsvCase(damaged, compressed, [name.strip() for name in columns], rows, damaged != content)


def _written(draw: st.DrawFn, columns: list[str], rows: list[list[str]]) -> str:
    """Write a table with Python's csv module, in a form that leaves its cells as they are."""
    separator = draw(st.sampled_from([",", ";", "\t"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    names_separator = draw(st.sampled_from([False] * 5 + [True])) or len(columns) == 1
    if names_separator:
        separator = draw(st.sampled_from([separator, "|", ":", "^"]))
    file = io.StringIO(newline="")
    # With other ends of lines, Python before 3.13 does not quote a lone CR or LF.
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])) if end == "\r\n" else csv.QUOTE_ALL
    writer: Any = csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting)
    blanks = st.sampled_from([""] * 8 + [end, f"  {end}", end * 40]) if len(columns) > 1 else st.just("")
    surplus = [""] * (draw(st.sampled_from([0] * 8 + [1, 3])) if len(columns) > 1 else 0)
    file.write(f"sep={separator}{end}" if names_separator else draw(blanks))
    writer.writerow(columns)
    for row in rows:
        file.write(draw(blanks))
        writer.writerow(_shortened(row) if not surplus and draw(st.booleans()) else row + surplus)
    file.write(draw(blanks))
    text = file.getvalue()
    return text.removesuffix(end) if draw(st.booleans()) else text


def _shortened(row: list[str]) -> list[str]:
    """Leave out empty cells at the end, but not all."""
    while len(row) > 1 and not row[-1] and any(cell.strip() for cell in row):
        row = row[:-1]
    return row


def _encoded(draw: st.DrawFn, text: str) -> bytes:
    """Encode a text in a way that only this encoding can decode."""
    name = draw(st.sampled_from(list(ENCODINGS)))
    try:
        content = text.encode(name.strip())
        if name == "cp1252":
            content.decode("utf-8")
            return text.encode()
    except UnicodeEncodeError:
        return text.encode()
    except UnicodeDecodeError:
        pass
    return ENCODINGS[name] + content


def _place(draw: st.DrawFn, content: bytes) -> int:
    return draw(st.integers(0, max(len(content) - 1, 0)))


def _change_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        changed[_place(draw, content)] = draw(st.integers(0, 255))
    return bytes(changed)


def _cut(draw: st.DrawFn, content: bytes) -> bytes:
    start, end = sorted([_place(draw, content), _place(draw, content)])
    return content[:start] + content[end:]


def _insert(draw: st.DrawFn, content: bytes) -> bytes:
    place = _place(draw, content)
    inserted = draw(
        st.sampled_from([b'"', b'\\"', b",", b";", b"\n", b"\r", b"\0", b"\xff\xfe", b"\xc3", b'"\n"', b"sep=;\n"])
    )
    return content[:place] + inserted + content[place:]


def _double(draw: st.DrawFn, content: bytes) -> bytes:
    """Put a file behind itself, header included."""
    return content + draw(st.sampled_from([b"", b"\n", b"\r\n"])) + content


def _swap_lines(draw: st.DrawFn, content: bytes) -> bytes:
    return b"\n".join(draw(st.permutations(content.split(b"\n")[:50])))
