"""McNemar's test, compared with scipy's binomial test and with values computed by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest

from emotion.evaluation import mcnemar_p


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
