"""The exception for mistakes that a user can fix, and helpers to quote other errors in it."""


class UserError(ValueError):
    """A mistake in what the user gave, described in one line: the key or file, the rule, and what was found."""


def of_file(error: OSError) -> str:
    """Describe in one line a file that the operating system refused, such as on a full disk."""
    return f"{error.filename or 'file'}: must be usable, found: {error.strerror or error}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
