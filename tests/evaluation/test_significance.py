"""McNemar's test, compared with scipy's binomial test and with values computed by hand."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from emotion.evaluation import holm, mcnemar_p, paired_bootstrap, rows_needed
from support.f1 import macro_f1


def answers(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[int], list[int], list[int]]:
    """Labels and two classifiers' answers, with the given number of rows of each kind."""
    labels = [1] * (both + only_first + only_second + neither)
    first = [1] * both + [1] * only_first + [0] * only_second + [0] * neither
    second = [1] * both + [0] * only_first + [1] * only_second + [2] * neither
    return labels, first, second


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (3, 3, 1.0),
        (5, 0, 2 / 2**5),
        (0, 8, 2 / 2**8),
        (1, 5, 2 * (1 + 6) / 2**6),
        (2, 8, 2 * (1 + 10 + 45) / 2**10),
    ],
)
def test_p_values_that_were_computed_by_hand(only_first: int, only_second: int, p: float) -> None:
    assert mcnemar_p(*answers(20, only_first, only_second, 4)) == pytest.approx(p, rel=1e-12)


def test_it_is_the_binomial_test_of_the_rows_that_only_one_of_them_gets_right() -> None:
    rng = np.random.default_rng(0)
    values = []
    for rows, share in ((1, 0.5), (10, 0.5), (60, 0.3), (500, 0.2), (2000, 0.1), (2000, 0.9)):
        for _ in range(4):
            labels = rng.integers(6, size=rows)
            first, second = (
                np.where(rng.random(rows) < wrong, rng.integers(6, size=rows), labels) for wrong in (share, share * 0.9)
            )
            b, c = (
                int(((first == labels) & (second != labels)).sum()),
                int(((first != labels) & (second == labels)).sum()),
            )
            expected = binomtest(b, b + c).pvalue if b + c else 1.0
            values.append(mcnemar_p(labels.tolist(), first.tolist(), second.tolist()))
            assert values[-1] == pytest.approx(expected, rel=1e-9)
            assert mcnemar_p(labels.tolist(), second.tolist(), first.tolist()) == values[-1]
    assert min(values) < 0.2 < max(values)


@pytest.mark.parametrize("only_second", [30_000, 30_700, 60_000])
def test_many_rows_are_fast_and_accurate(only_second: int) -> None:
    """Exact sums of whole numbers would take minutes."""
    p = mcnemar_p(*answers(5, 30_000, only_second, 5))
    assert p == pytest.approx(binomtest(30_000, 30_000 + only_second).pvalue, rel=1e-7)


def test_every_row_must_be_answered_by_both() -> None:
    with pytest.raises(ValueError, match="same rows, got 2, 2 and 1"):
        mcnemar_p([0, 1], [0, 1], [0])


def test_corrected_p_values_are_those_of_statsmodels() -> None:
    for p_values in ([0.01, 0.04, 0.03, 0.005], [0.5, 0.5], [0.2], [1.0, 0.0, 0.9, 0.9, 0.9]):
        expected = multipletests(p_values, method="holm")[1]
        assert holm(p_values) == pytest.approx(expected.tolist())
    assert holm([]) == []


def compared(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two classifiers that are right on 85 % and 80 %, often on the same rows."""
    rng = np.random.default_rng(seed)
    labels, hard = rng.choice(3, size=rows, p=[0.5, 0.3, 0.2]), rng.random(rows)
    wrong = (labels + rng.integers(1, 3, size=rows)) % 3
    return labels, np.where(hard < 0.85, labels, wrong), np.where(hard < 0.80, labels, wrong)


def test_the_difference_of_macro_f1_is_bootstrapped_on_the_same_rows() -> None:
    labels, first, second = compared(300)
    found = paired_bootstrap(labels, first, second, 3, stratified=False)

    def difference(*rows: np.ndarray) -> float:
        truth, one, other = rows
        return macro_f1(truth, one) - macro_f1(truth, other)

    assert found.difference == pytest.approx(difference(labels, first, second))
    scipys = stats.bootstrap((labels, first, second), difference, paired=True, vectorized=False, n_resamples=1000,
                             method="percentile", rng=np.random.default_rng(1))  # fmt: skip
    expected = scipys.confidence_interval
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), abs=0.008)
    assert found.standard_error == pytest.approx(scipys.standard_error, rel=0.1)
    swapped = paired_bootstrap(labels, second, first, 3)
    assert swapped.difference == pytest.approx(-found.difference)


def test_several_runs_are_compared_by_their_means_on_the_same_rows() -> None:
    labels, first, second = compared(300)
    others = [compared(300)[1], np.roll(second, 7)]
    found = paired_bootstrap(labels, [first, second], [*others, first], 3, stratified=False)

    def difference(*rows: np.ndarray) -> float:
        truth, *answers = rows
        scores = [macro_f1(truth, each) for each in answers]
        return float(np.mean(scores[:2]) - np.mean(scores[2:]))

    columns = (labels, first, second, *others, first)
    assert found.difference == pytest.approx(difference(*columns))
    scipys = stats.bootstrap(columns, difference, paired=True, vectorized=False, n_resamples=1000,
                             method="percentile", rng=np.random.default_rng(1))  # fmt: skip
    expected = scipys.confidence_interval
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), abs=0.008)


def test_classifiers_that_agree_do_not_differ() -> None:
    labels, first, _ = compared(50)
    found = paired_bootstrap(labels, first, first, 3)
    assert (found.difference, found.interval.low, found.interval.high, found.standard_error) == (0, 0, 0, 0)
    assert rows_needed(found.difference, found.standard_error, 50) is None


def test_the_rows_needed_are_those_of_a_normal_test_of_that_power() -> None:
    needed = rows_needed(0.01, 0.01, 2_000)
    assert needed is not None
    # A standard error of .01 on 2,000 rows is a standard deviation of .01 * sqrt(2000) a row.
    effect = 0.01 / (0.01 * 2_000**0.5)
    expected = NormalIndPower(ddof=0).solve_power(effect, alpha=0.05, power=0.8, ratio=0)
    assert needed == pytest.approx(expected, rel=0.01)
