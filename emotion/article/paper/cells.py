"""Write figures as cells of an article's tables."""

from emotion.article.paper.latex import Cell
from emotion.evaluation import Interval

BRACKETS = "Brackets: 95 % bootstrap intervals over rows."
CORRECTED = "ECE: expected calibration error; its intervals are corrected for the noise that enlarges it."
BOLD = "Bold: the best of a column, which need not be better by more than chance."
EMPTY = Cell("")


def score(value: float, interval: Interval | None, digits: int = 4) -> Cell:
    """Write a score in [0, 1] with its interval."""
    detail = "" if interval is None else f"[{interval.low:.3f}, {interval.high:.3f}]"
    return Cell(f"{value:.{digits}f}", value, detail)


def points(difference: float, interval: Interval | None) -> Cell:
    """Write a difference of scores, times 100, with its interval."""
    detail = "" if interval is None else f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"
    return Cell(f"{100 * difference:+.2f}", difference, detail)


def p_value(value: float) -> str:
    """Write a p-value with two digits; those below 0.0001 only as such."""
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"
