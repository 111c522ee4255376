"""Bootstrap intervals and intervals over seeds, against scipy and resampling row by row."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from emotion.evaluation import bootstrap_intervals, mean_interval
from support.f1 import f1_by_class, macro_f1

NAMES = ("sadness", "joy", "love")


def made_up(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of uneven classes and predictions that are right three times in four."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=rows, p=[0.6, 0.3, 0.1])
    return labels, np.where(rng.random(rows) < 0.75, labels, rng.integers(3, size=rows))


def ends(interval: object) -> tuple[float, float]:
    return interval.low, interval.high  # type: ignore[attr-defined]


def test_plain_intervals_are_those_of_scipy() -> None:
    labels, predictions = made_up(200)
    found = bootstrap_intervals(labels, predictions, NAMES, stratified=False)

    def scipys(statistic: object) -> tuple[float, float]:
        interval = stats.bootstrap(
            (labels, predictions), statistic, paired=True, vectorized=False, n_resamples=1500, method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval  # fmt: skip
        return interval.low, interval.high

    assert ends(found.accuracy) == pytest.approx(scipys(lambda a, b: (a == b).mean()), abs=0.01)
    assert macro_f1(labels, predictions) == pytest.approx(f1_score(labels, predictions, average="macro"))
    macro = scipys(macro_f1)
    assert ends(found.macro_f1) == pytest.approx(macro, abs=0.012)
    love = scipys(lambda a, b: f1_by_class(a, b, 3)[2])
    assert ends(found.per_class_f1["love"]) == pytest.approx(love, abs=0.02)


def test_stratified_resamples_keep_the_size_of_each_class() -> None:
    labels, predictions = made_up(300)
    found = bootstrap_intervals(labels, predictions, NAMES)
    rng, scores = np.random.default_rng(1), []
    for _ in range(1500):
        rows = np.concatenate([rng.choice(np.flatnonzero(labels == each), (labels == each).sum()) for each in range(3)])
        truth, predicted = labels[rows], predictions[rows]
        scores.append(((truth == predicted).mean(), macro_f1(truth, predicted)))
    low, high = np.quantile(scores, [0.025, 0.975], axis=0)
    assert ends(found.accuracy) == pytest.approx((low[0], high[0]), abs=0.01)
    assert ends(found.macro_f1) == pytest.approx((low[1], high[1]), abs=0.012)


def test_intervals_hold_the_true_accuracy_as_often_as_they_say() -> None:
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        right = rng.random(150) < 0.8
        found = bootstrap_intervals(np.zeros(150, int), (~right).astype(int), ("a", "b"), resamples=500, seed=seed)
        held += found.accuracy.low <= 0.8 <= found.accuracy.high
    assert 0.90 <= held / 200 <= 0.99


def test_a_higher_confidence_and_fewer_rows_give_wider_intervals() -> None:
    labels, predictions = made_up(400)
    width = np.diff(ends(bootstrap_intervals(labels, predictions, NAMES).macro_f1))
    surer = np.diff(ends(bootstrap_intervals(labels, predictions, NAMES, confidence=0.99).macro_f1))
    fewer = np.diff(ends(bootstrap_intervals(labels[:100], predictions[:100], NAMES).macro_f1))
    assert width < surer
    assert width < fewer


@pytest.mark.parametrize("stratified", [True, False])
def test_odd_data_give_numbers(stratified: bool) -> None:
    one = bootstrap_intervals([1], [1], NAMES, stratified=stratified)
    assert ends(one.accuracy) == ends(one.macro_f1) == (1, 1)
    assert ends(one.per_class_f1["love"]) == (0, 0)  # it has no row, and 0 is what the metrics give
    many = tuple(map(str, range(28)))
    found = bootstrap_intervals([0, 27, 3], [0, 1, 3], many, resamples=100, stratified=stratified)
    assert np.isfinite([ends(each) for each in found.per_class_f1.values()]).all()


def test_the_interval_of_a_mean_over_seeds_is_students() -> None:
    values = [0.91, 0.90, 0.92, 0.905]
    interval = mean_interval(values)
    assert interval is not None
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert ends(interval) == pytest.approx((expected.low, expected.high))
    assert mean_interval([0.9]) is None, "one seed shows no spread"
    widest = mean_interval([0.0, 1.0])
    assert widest is not None
    assert ends(widest) == (0, 1), "scores are shares"
