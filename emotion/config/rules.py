"""Rules of config fields: what a value must satisfy beyond its type, and how to say so."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must satisfy, and how to say so."""

    text: str
    holds: Callable[[Any], bool]


def bounded(
    minimum: float | None = None, maximum: float | None = None, above: float | None = None, **kwargs: Any
) -> Any:
    """A number field with bounds: ``minimum``/``maximum`` inclusive, ``above`` exclusive; NaN never passes."""
    parts = [
        f"{sign} {bound:g}" for sign, bound in ((">=", minimum), (">", above), ("<=", maximum)) if bound is not None
    ]

    def holds(value: float) -> bool:
        return (
            math.isfinite(value)
            and (minimum is None or value >= minimum)
            and (above is None or value > above)
            and (maximum is None or value <= maximum)
        )

    return field(metadata={"rule": Rule("must be " + " and ".join(parts), holds)}, **kwargs)


def one_of(*choices: str, **kwargs: Any) -> Any:
    """A string field with a closed set of values."""
    return field(
        metadata={"rule": Rule(f"must be one of {', '.join(choices)}", lambda value: value in choices)}, **kwargs
    )


def matching(pattern: str, text: str, **kwargs: Any) -> Any:
    """A string field whose whole value matches a regular expression, described by ``text``."""
    return field(metadata={"rule": Rule(text, lambda value: re.fullmatch(pattern, value) is not None)}, **kwargs)


def checked(text: str, holds: Callable[[Any], bool], **kwargs: Any) -> Any:
    """A field with a rule of its own; used where OmegaConf cannot express the type (unions of numbers and lists)."""
    return field(metadata={"rule": Rule(text, holds)}, **kwargs)


def is_whole(value: Any, minimum: int) -> bool:
    """Whether ``value`` is an int (no bool) of at least ``minimum``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum
