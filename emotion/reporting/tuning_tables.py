"""Tabulate a search: its best trials, and which settings matter."""

from collections import Counter

from emotion.reporting.tables import Table
from emotion.reporting.tuning_report import DONE, TuningReport

SHOWN = 10


def tuning_tables(report: TuningReport) -> list[Table]:
    """Tabulate the best trials with their settings, and each setting's importance."""
    done = sorted(
        (trial for trial in report.trials if trial.state == DONE),
        key=lambda trial: (-(trial.macro_f1 or 0), trial.number),
    )
    rows = [
        (str(trial.number), f"{trial.macro_f1:.4f}", *(_cell(trial.settings.get(key)) for key in report.search))
        for trial in done[:SHOWN]
    ]
    names = tuple(key.removeprefix("optimizer.").removeprefix("model.") for key in report.search)
    states = Counter(trial.state for trial in report.trials)
    title = f"The best trials, by macro F1 on validation ({', '.join(f'{n} {state}' for state, n in states.items())})"
    best = str(report.best.number) if report.best is not None else None
    tables = [Table(title, ("trial", "macro F1", *names), rows, best=best)]
    if report.importance:
        shares = [(key, f"{share:.0%}") for key, share in report.importance.items()]
        tables.append(Table("What explains the differences", ("setting", "share of the variance"), shares))
    return tables


def _cell(value: float | int | bool | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
