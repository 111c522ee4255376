"""Summarise runs that differ by their seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from emotion.evaluation import Interval, mean_interval
from emotion.reporting.rows import VALIDATION
from emotion.reporting.schema import RunRecord, SetScores, TrainingReport


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
    """``accuracy`` and ``macro_f1`` by the name of the CSV, as in reports: ``validation``, its parts if it is several
    CSVs, and the evaluation sets of all runs."""
    selection: SeedSpread
    """What runs are chosen by: macro F1 on validation, of several CSVs the mean of theirs."""


def seed_summaries(report: TrainingReport) -> list[SeedSummary]:
    """Summarise each recipe, the best on average first; of several runs of a seed, the latest counts."""
    recipes: dict[tuple[str, str], dict[int, RunRecord]] = {}
    for run in sorted(report.runs, key=lambda each: each.finished):
        if run.recipe is not None:
            recipes.setdefault((run.model_name, run.recipe), {})[run.seed] = run
    found = [_summary(list(runs.values()), report) for runs in recipes.values()]
    return sorted(found, key=lambda each: -each.selection.mean)


def _summary(runs: list[RunRecord], report: TrainingReport) -> SeedSummary:
    name = runs[0].model_name
    shipped = report.models[name].run_id if name in report.models else None
    scores = {VALIDATION: _spreads(runs)}
    of_runs = [run.scores_by_set for run in runs]
    for data in of_runs[0]:
        records = [each[data] for each in of_runs if data in each]
        if len(records) == len(runs) and len({each.data_sha256 for each in records}) == 1:
            scores[data] = _spreads(records)
    return SeedSummary(
        model_name=name,
        seeds=tuple(sorted(run.seed for run in runs)),
        shipped_seed=next((run.seed for run in runs if run.run_id == shipped), None),
        scores=scores,
        selection=SeedSpread.of([run.selection_f1 for run in runs]),
    )


def _spreads(records: Sequence[RunRecord] | Sequence[SetScores]) -> dict[str, SeedSpread]:
    return {
        "accuracy": SeedSpread.of([each.accuracy for each in records]),
        "macro_f1": SeedSpread.of([each.macro_f1 for each in records]),
    }
