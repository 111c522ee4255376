"""A label set: the names of the classes, in the order of their indices."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from emotion.errors import UserError, quoted

LONGEST_NAME = 200
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, among them those that steer a terminal, ends of lines, and halves of characters."""
_SEVERAL = re.compile(r"[,;|]")
_NUMBER = re.compile(r"\d+(\.\d*)?(e[+-]?\d+)?", re.ASCII)
"""A class index as people, spreadsheets and numpy write it; Python's float() would also accept ``0_1``."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Names of at least two classes; a class's index is its place among them.

    Raises:
        UserError: There are too few names, one is empty, repeated or not one line, a number is not in its own place, or
            the colours do not match the names.
    """

    names: tuple[str, ...]
    colours: tuple[str, ...] = ()
    """One colour for each name in figures, ``#rrggbb``; empty = none are given."""

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise UserError(f"labels.names: must be at least two names, found {list(self.names)}")
        seen: set[str] = set()
        for place, name in enumerate(map(_fold, self.names)):
            if not name:
                raise UserError(f"labels.names: must not be empty, found an empty name in place {place}")
            if len(name) > LONGEST_NAME or _UNPRINTED.search(name):
                rule = f"must be one line of at most {LONGEST_NAME} characters"
                raise UserError(f"labels.names: {rule}, found {quoted(self.names[place])} in place {place}")
            if name in seen:
                raise UserError(f"labels.names: must differ in more than case, found {self.names[place]!r} twice")
            if _index(name) not in (None, place):
                raise UserError(f"labels.names: a number must be in its own place, found {name} in place {place}")
            seen.add(name)
        if self.colours and len(self.colours) != len(self.names):
            raise UserError(f"labels.colours: must be one colour a name ({len(self.names)}), found {len(self.colours)}")

    @classmethod
    def coloured(cls, names: Iterable[str], colours: Mapping[str, str] | None) -> Self:
        """Make a set of ``names``, with ``colours`` by name if each has one."""
        names = tuple(names)
        known = colours or {}
        return cls(names, tuple(known[name] for name in names) if all(name in known for name in names) else ())

    def __len__(self) -> int:
        return len(self.names)

    def parse(self, cell: str) -> int | None:
        """Return the class index in [0, len(self)) that a CSV cell names, or None.

        A cell holds an index (``"3"``, or ``"3.0"`` as spreadsheets save it) or a name in any case (``"Anger"``).
        """
        name = _fold(cell)
        for index, known in enumerate(self.names):
            if name == _fold(known):
                return index
        number = _index(name)
        return number if number is not None and number < len(self) else None

    def holds_several(self, cell: str) -> bool:
        """Return whether a CSV cell names more than one class, such as ``"joy, love"`` or ``"[0, 2]"``."""
        parts = [part.strip(" []()'\"") for part in _SEVERAL.split(cell)]
        return len(parts) > 1 and all(self.parse(part) is not None for part in parts)

    @property
    def rule(self) -> str:
        """The cells that :meth:`parse` understands, for error messages."""
        if all(name == str(index) for index, name in enumerate(self.names)):
            return f"0-{len(self) - 1}"
        return f"0-{len(self) - 1} or one of {', '.join(self.names)}"


def find_labels(cells: Iterable[str]) -> LabelSet:
    """Collect the label set of a CSV's label column.

    Integers 0 to K-1 keep their numbers and are their own names; names are sorted, ignoring case.

    Args:
        cells: The column, row by row.

    Raises:
        UserError: Integers with a gap, integers among names, an empty cell, several labels in a cell, or fewer than
            two labels. Rows are counted with the header as row 1.
    """
    first_rows: dict[str, tuple[int, str]] = {}
    for row, cell in enumerate(cells, start=2):
        first_rows.setdefault(_fold(cell), (row, cell.strip()))
    numbers = {_index(name): row for name, (row, _) in first_rows.items() if _index(name) is not None}
    names = [(row, cell) for name, (row, cell) in first_rows.items() if _index(name) is None]
    for row, cell in names:
        if not cell:
            raise UserError(f"labels: every row must have a label, found none in row {row} (the header is row 1)")
        if _SEVERAL.search(cell):
            raise UserError(
                f"labels: every row must have one label, found {cell!r} in row {row} (the header is row 1);"
                " if that is one name, give all names as labels.names=[...]"
            )
    if not numbers:
        return LabelSet(tuple(cell for _, cell in sorted(names, key=lambda each: _fold(each[1]))))
    if names:
        row, cell = names[0]
        raise UserError(
            f"labels: must be all numbers or all names, found {cell!r} in row {row} among numbers (the header is row 1)"
        )
    if set(numbers) != set(range(len(numbers))):
        found = ", ".join(map(str, sorted(number for number in numbers if number is not None)[:20]))
        raise UserError(f"labels: numbers must be 0 to {len(numbers) - 1} without a gap, found {found}")
    return LabelSet(tuple(map(str, range(len(numbers)))))


def class_counts(labels: Sequence[int], names: Sequence[str]) -> dict[str, int]:
    """Count the rows of each class.

    Args:
        labels: (rows,), class indices in [0, len(names)).
        names: The classes' names, in order.
    """
    counts = [0] * len(names)
    for label in labels:
        counts[label] += 1
    return dict(zip(names, counts, strict=True))


def _fold(name: str) -> str:
    return name.strip().casefold()


def _index(text: str) -> int | None:
    """Return the whole number >= 0 that ``text`` holds, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return int(number) if number.is_integer() and number < 1e9 else None
