"""Summarise runs that differ by their seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from emotion.evaluation import Interval, mean_interval
from emotion.reporting.rows import VALIDATION
from emotion.reporting.schema import RunRecord, TrainingReport


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """A score over seeds."""

    mean: float
    std: float | None
    """Sample standard deviation; None for one seed, which shows no spread."""
    low: float
    high: float
    interval: Interval | None
    """95 % interval of the mean, by Student's t; None for one seed."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "SeedSpread":
        """Summarise the scores of at least one seed, each in [0, 1]."""
        std = stdev(values) if len(values) > 1 else None
        return cls(mean(values), std, min(values), max(values), mean_interval(values))


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """The runs of one recipe: same model, settings and data, other seeds."""

    model_name: str
    seeds: tuple[int, ...]
    shipped_seed: int | None
    """The seed of the run whose checkpoint is ``best_<Name>.pt``, chosen by validation; None = another recipe's."""
    scores: dict[str, dict[str, SeedSpread]]
    """``accuracy`` and ``macro_f1`` by the name of the CSV: ``validation`` and the evaluation sets of all runs."""


def seed_summaries(report: TrainingReport) -> list[SeedSummary]:
    """Summarise each recipe, the best mean macro F1 first; of several runs of a seed, the latest counts."""
    recipes: dict[tuple[str, str], dict[int, RunRecord]] = {}
    for run in sorted(report.runs, key=lambda each: each.finished):
        if run.recipe is not None:
            recipes.setdefault((run.model_name, run.recipe), {})[run.seed] = run
    found = [_summary(list(runs.values()), report) for runs in recipes.values()]
    return sorted(found, key=lambda each: -each.scores[VALIDATION]["macro_f1"].mean)


def _summary(runs: list[RunRecord], report: TrainingReport) -> SeedSummary:
    name = runs[0].model_name
    shipped = report.models[name].run_id if name in report.models else None
    scores = {VALIDATION: _spreads(runs)}
    for data in runs[0].evaluations:
        records = [run.evaluations[data] for run in runs if data in run.evaluations]
        if len(records) == len(runs) and len({each.data_sha256 for each in records}) == 1:
            scores[data] = {
                "accuracy": SeedSpread.of([each.accuracy for each in records]),
                "macro_f1": SeedSpread.of([each.macro_f1 for each in records]),
            }
    return SeedSummary(
        model_name=name,
        seeds=tuple(sorted(run.seed for run in runs)),
        shipped_seed=next((run.seed for run in runs if run.run_id == shipped), None),
        scores=scores,
    )


def _spreads(runs: Sequence[RunRecord]) -> dict[str, SeedSpread]:
    return {
        "accuracy": SeedSpread.of([run.accuracy for run in runs]),
        "macro_f1": SeedSpread.of([run.macro_f1 for run in runs]),
    }
