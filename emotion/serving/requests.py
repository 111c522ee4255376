"""What is wrong with a request, in one line."""

import json
from typing import Any

from pydantic import ValidationError

from emotion.errors import quoted

_LONGEST_REASON = 300
_MOST_MISTAKES = 100
"""Of a request whose first one is told: pydantic lists all or none, and a large request may hold millions."""


class RequestError(ValueError):
    """A request that cannot be answered, with the HTTP status that says so; what it quotes is cut where it is long."""

    def __init__(self, reason: str, status: int = 422) -> None:
        super().__init__(reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} ...")
        self.status = status


def check_texts(texts: list[str], most_texts: int, most_characters: int) -> None:
    """Refuse what no model should be asked.

    Raises:
        RequestError: There is no text, there are too many, or one is too long.
    """
    if not texts:
        raise RequestError("inputs: must hold at least one text, found none")
    if len(texts) > most_texts:
        raise RequestError(f"inputs: must hold at most {most_texts:,} texts, found {len(texts):,}", 413)
    for place, text in enumerate(texts):
        if len(text) > most_characters:
            reason = f"inputs[{place}]: must have at most {most_characters:,} characters, found {len(text):,}"
            raise RequestError(reason, 413)


def reason_of(error: ValidationError) -> str:
    """Say in one line what is wrong with a request, without its texts."""
    if error.error_count() > _MOST_MISTAKES:
        return f"body: must be of the form that /docs describes, found {error.error_count():,} mistakes"
    mistakes = error.errors(include_url=False)
    first = mistakes[0]
    if first["type"] == "json_invalid":
        return f"body: must be JSON in UTF-8, found {first['ctx']['error']}"
    key, found = ".".join(map(str, first["loc"])) or "body", found_json(first["input"])
    match first["type"]:
        case "missing":
            return f"{key}: must be given, found none"
        case "extra_forbidden":
            above = ".".join(map(str, first["loc"][:-1])) or "body"
            return f"{above}: must have the keys that /docs describes alone, found {quoted(first['loc'][-1])}"
        case "too_long" | "too_short":
            rule = first["msg"].replace("List should", "must").replace(" after validation, not", ", found")
            return f"{key}: {rule}"
        case "value_error":
            return f"{key}: {first['msg'].removeprefix('Value error, ')}"
    if first["loc"] == ("inputs", "str"):  # nor is it a list of texts: the last mistake says why
        *_, last = (each for each in mistakes if each["loc"][0] == "inputs")
        if len(last["loc"]) == 2:
            return f"inputs: must be a text or a list of texts, found {found}"
        return f"inputs[{last['loc'][2]}]: must be a text, found {found_json(last['input'])}"
    rule = first["msg"].replace("Input should", "must", 1)
    return f"{key}: {rule[:1].lower()}{rule[1:]}, found {found}"


def found_json(value: Any) -> str:
    """Return a value of JSON as it was written, cut where it is long, or what it is."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    return json.dumps(value) if value is None or isinstance(value, bool) else quoted(value)
