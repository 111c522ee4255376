"""Between which bounds, or among which choices, a search looks for a setting."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emotion.errors import UserError

if TYPE_CHECKING:
    from optuna import Trial

RULE = "[low, high], [low, high, log] or {choices: [a, b]}"
Value = float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers from ``low`` to ``high``, both included; whole numbers if both are."""

    low: float
    high: float
    log: bool = False
    """Whether each order of magnitude is as likely as any other."""

    @property
    def extremes(self) -> tuple[Value, ...]:
        """The values that must be allowed, so that all between are."""
        return self.low, self.high

    def suggest(self, trial: "Trial", key: str) -> Value:
        """Let the trial choose a value."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)


@dataclass(frozen=True, slots=True)
class Choices:
    """A few values."""

    values: tuple[Value, ...]

    @property
    def extremes(self) -> tuple[Value, ...]:
        """The values that must be allowed."""
        return self.values

    def suggest(self, trial: "Trial", key: str) -> Value:
        """Let the trial choose a value."""
        found: Value = trial.suggest_categorical(key, self.values)
        return found


def parse(given: Any, key: str) -> Range | Choices:
    """Read what a user gives for one setting.

    Raises:
        UserError: It has another form, or a range is empty.
    """
    if isinstance(given, dict) and set(given) == {"choices"} and isinstance(given["choices"], list):
        values = given["choices"]
        if values and all(isinstance(each, float | int | bool | str | None) for each in values):
            return Choices(tuple(values))
    if isinstance(given, list) and len(given) in (2, 3) and all(map(_is_number, given[:2])):
        low, high = given[:2]
        log = given[2:] == ["log"]
        if len(given) == 2 or log:
            if not low < high:
                raise UserError(f"{key}: must go from low to high, found {given}")
            if log and low <= 0:
                raise UserError(f"{key}: must be > 0 for log, found {given}")
            return Range(low, high, log)
    raise UserError(f"{key}: must be {RULE}, found {given}")


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)
