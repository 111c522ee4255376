"""Tables of quotes, backslashes, commas and line ends, whose quotes are doubled or escaped."""

import csv
import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion.data import open_csv
from emotion.errors import UserError

CELLS = st.lists(st.sampled_from(list(' a"\\,\n')), max_size=4).map("".join)
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS).map(list), min_size=1, max_size=4)
QUOTING = st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
EXAMPLES = settings(max_examples=400, database=None, deadline=None, derandomize=True)


def read(table: list[list[str]], quoting: int, escapes: bool) -> list[list[str]] | None:
    """The cells that we read of a table that Python's csv module wrote; None = it is refused for its quotes."""
    text = io.StringIO(newline="")
    form = {"doublequote": False, "escapechar": "\\"} if escapes else {"doublequote": True}
    csv.writer(text, lineterminator="\n", quoting=quoting, **form).writerows([["text", "label", "note"], *table])
    with TemporaryDirectory() as folder:
        path = Path(folder, "input.csv")
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        try:
            return [row for frame in open_csv(path).chunks() for row in frame.to_numpy().tolist()]
        except UserError as error:
            if re.search("a quote within a quoted cell must be doubled|every quote must be closed", str(error)):
                return None
            raise


@EXAMPLES
@given(TABLES, QUOTING)
def test_doubled_quotes_are_read_wherever_a_backslash_ends_a_cell(table: list[list[str]], quoting: int) -> None:
    rows = read(table, quoting, escapes=False)
    cells = [cell for row in table for cell in row]
    in_doubt = any(re.search(r'\\("|$)', cell) for cell in cells) and any(re.match(r'[,\n"]', cell) for cell in cells)
    assert rows == table or (rows is None and in_doubt)


@EXAMPLES
@given(TABLES, QUOTING)
def test_escaped_quotes_never_shift_a_cell(table: list[list[str]], quoting: int) -> None:
    rows = read(table, quoting, escapes=True)
    assert rows is None or [[re.sub(r"\\(.)", r"\1", cell, flags=re.DOTALL) for cell in row] for row in rows] == table


@pytest.mark.parametrize("path", ["C:\\", "C:\\a\\", "\\\\", '5\\"', "\\N"])
@pytest.mark.parametrize("text", ["so, well", 'he "said"', "two\nlines", " , ", "\\", ""])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_a_cell_that_ends_in_a_backslash_is_read_next_to_any_other(path: str, text: str, quoting: int) -> None:
    table = [[path, text, path], [text, path, text], [text, text, path]]
    assert read(table, quoting, escapes=False) == table
