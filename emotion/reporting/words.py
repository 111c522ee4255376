"""Say in words what the numbers of a report allow to conclude."""

from collections.abc import Iterable
from math import ceil

from emotion.evaluation import Calibration
from emotion.models import SVM
from emotion.reporting.schema import Comparison, TrainingReport


def leading_comparisons(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return the comparison of the best model with the second on each CSV."""
    first: dict[str, Comparison] = {}
    for comparison in comparisons:
        first.setdefault(comparison.data, comparison)
    return list(first.values())


def verdict(comparison: Comparison) -> str:
    """Say in words whether the first model can be told from the second."""
    first, second, found = comparison.first, comparison.second, comparison.difference
    points = f"{100 * found.difference:+.2f} points of macro F1"
    interval = f"95 % interval {100 * found.interval.low:+.2f} to {100 * found.interval.high:+.2f}"
    own = comparison.difference_holm_p
    tests = f"{interval}; {'' if own is None else f'p = {own:.2g}, '}McNemar's p = {comparison.holm_p:.2g} after Holm's"
    tests += " correction"
    measured = f"{points} on the same {comparison.rows:,} rows of {comparison.data} ({tests})"
    if comparison.is_distinguishable:
        return f"{first} is better than {second}: {measured}."
    if comparison.rows_needed is None:
        return f"{first} cannot be told from {second}: {measured}."
    needed = f"about {_round_up(comparison.rows_needed):,} rows would be needed to tell them apart"
    return f"{first} cannot be told from {second}: {measured}; {needed}."


def _round_up(rows: int) -> int:
    """Round to two digits, as the number is an estimate."""
    step: int = 10 ** max(len(str(rows)) - 2, 0)
    return ceil(rows / step) * step


def calibration_in_words(name: str, calibration: Calibration) -> str:
    """Say how far confidences are from being probabilities."""
    how = "by cross-fitting on validation" if calibration.cross_fitted else "on rows that it was not fitted on"
    found = f"expected calibration error {calibration.ece_after:.3f} {how} ({calibration.ece_before:.3f} without it)"
    perfect = f"a perfectly calibrated model shows {calibration.ece_perfect.mean:.3f}"
    rows = f"up to {calibration.ece_perfect.high:.3f} on {calibration.rows:,} rows"
    return f"{name}: temperature {calibration.temperature:.2f}; {found}; {perfect}, {rows}"


def baseline_warnings(report: TrainingReport) -> list[str]:
    """Mark each model that does not beat the linear SVM on the same rows, or only by what chance could do."""
    lines = []
    for name, entry in report.models.items():
        svm = entry.baselines.get(SVM)
        if svm is None:
            continue
        pair = f"macro F1 {entry.macro_f1:.4f} against {svm.macro_f1:.4f} of TF-IDF and a linear SVM"
        if svm.difference.difference <= 0:
            lines.append(f"{name} does NOT beat the baseline: {pair}")
        elif svm.difference.interval.low <= 0:
            lines.append(f"{name} beats the baseline by no more than chance would: {pair}")
    return lines
