r"""Refuse CSVs whose quotes may be escaped by backslashes, as MySQL and Spark write them.

In a CSV, a quote within a quoted cell is doubled, and a backslash is a character like any other: ``"C:\"`` is a whole
cell. Where backslashes escape, the same bytes may be cells that end elsewhere. As a rule, the next quote shows which
reading is wrong, because a quote must open or close a cell, or be doubled or escaped within one.
"""

import csv
import re
from collections.abc import Iterable, Iterator

NOT_DOUBLED = 'a quote within a quoted cell must be doubled (""), found one that is single or escaped (\\")'
_QUOTE = re.compile(r'(?<!\\)(\\*)"("?)')


def without_doubt(lines: Iterable[str], separator: str) -> Iterator[str]:
    r"""Yield the same lines as long as it is certain where their cells end.

    There are two doubtful ends. The next quote removes the doubt, unless it suits the other reading:

    - ``"a\",`` closes a cell, or the quote is escaped and the cell goes on. If it goes on, the next quote closes it or
      is escaped too.
    - ``"a\"",`` goes on after a doubled quote, or the first is escaped and the second closes the cell. If it is closed,
      the next quote opens a cell.

    Raises:
        csv.Error: The next quote suits the other reading.
    """
    ends = f"{separator}\r\n"
    closed = goes_on = False  # as a CSV, after the last quote, if that is in doubt
    for line in lines:
        if closed or goes_on or '\\"' in line:
            for quote in _QUOTE.finditer(line):
                is_escaped, is_double = len(quote[1]) % 2 == 1, bool(quote[2])
                at_start = quote.start() == 0 or line[quote.start() - 1] in ends
                at_end = quote.end() == len(line) or line[quote.end()] in ends
                if (closed and (is_escaped or (at_end and not is_double))) or (goes_on and at_start):
                    raise csv.Error(NOT_DOUBLED)
                closed = is_escaped and at_end and not is_double
                goes_on = is_escaped and at_end and is_double
        yield line
