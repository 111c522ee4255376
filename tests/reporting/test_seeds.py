"""Runs that differ by their seed alone, from made-up records."""

from statistics import mean, stdev

import pytest
from scipy import stats

from emotion.reporting import RunRecord, SetScores, seed_summaries
from support.training_reports import entry, report_of, run_record


def run(
    seed: int, macro_f1: float, recipe: str | None = "r", finished: str = "1", test: float | None = None
) -> RunRecord:
    scores = {} if test is None else {"test": SetScores(data_sha256="t", accuracy=test, macro_f1=test)}
    changes = {"seed": seed, "recipe": recipe, "run_id": f"{recipe}/{seed}/{finished}", "finished": finished}
    return run_record(macro_f1=macro_f1).model_copy(update={**changes, "evaluations": scores})


def test_runs_of_a_recipe_are_summarised_over_their_seeds() -> None:
    values = [0.80, 0.84, 0.82]
    runs = [run(seed, value, test=value - 0.1) for seed, value in enumerate(values)]
    report = report_of(MiniLM=entry(runs[1]))
    report.runs = [*runs, run(0, 0.1, recipe="other"), run(9, 0.2, recipe=None)]
    first, second = seed_summaries(report)
    assert (first.seeds, first.shipped_seed) == ((0, 1, 2), 1)
    spread = first.scores["validation"]["macro_f1"]
    assert (spread.mean, spread.std, spread.low, spread.high) == pytest.approx(
        (mean(values), stdev(values), 0.80, 0.84)
    )
    assert spread.interval is not None
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (spread.interval.low, spread.interval.high) == pytest.approx((expected.low, expected.high))
    assert first.scores["test"]["macro_f1"].mean == pytest.approx(mean(values) - 0.1)
    assert (second.seeds, second.shipped_seed) == ((0,), None), "another recipe"
    assert second.scores["validation"]["macro_f1"].std is None, "one seed shows no spread"


def test_a_seed_that_was_run_again_counts_once_and_a_set_must_be_every_runs() -> None:
    report = report_of(MiniLM=entry(run(1, 0.6)))
    report.runs = [run(1, 0.5, finished="1", test=0.4), run(1, 0.6, finished="2", test=0.5), run(2, 0.7, finished="3")]
    (summary,) = seed_summaries(report)
    assert summary.seeds == (1, 2)
    assert summary.scores["validation"]["macro_f1"].low == 0.6
    assert "test" not in summary.scores
