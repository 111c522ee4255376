"""The exception for mistakes that a user can fix, and helpers to quote other errors and values in it."""

from collections.abc import Sequence
from reprlib import Repr

LONGEST_MESSAGE = 4_000
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


class UserError(ValueError):
    """A mistake in what the user gave, described in one line: the key or file, the rule, and what was found.

    What was found may be a stranger's, so the message is made :func:`printable`, and a long one is cut in its
    middle.
    """

    def __init__(self, message: str) -> None:
        half = LONGEST_MESSAGE // 2
        cut = message if len(message) <= LONGEST_MESSAGE else f"{message[:half]} ... {message[-half:]}"
        super().__init__(printable(cut))


def printable(text: str) -> str:
    """Escape line breaks, terminal codes and the like, which names of files and values may hold."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def of_file(error: OSError) -> str:
    """Describe in one line a file that the operating system refused, such as on a full disk."""
    return printable(f"{error.filename or 'file'}: must be usable, found: {error.strerror or error}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def quoted(value: object) -> str:
    """Return how Python writes what a file says, cut where it is long or nested."""
    return _SHORT.repr(value)


def listed(noun: str, numbers: Sequence[int]) -> str:
    """Name numbered things in a message, the first ten of them: ``rows 3, 5``."""
    shown = ", ".join(map(str, numbers[:10]))
    more = f" and {len(numbers) - 10:,} more" if len(numbers) > 10 else ""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {shown}{more}"
