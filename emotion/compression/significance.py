"""Whether two classifiers differ by more than chance."""

from collections.abc import Sequence
from fractions import Fraction
from math import comb


def mcnemar_p(labels: Sequence[int], first: Sequence[int], second: Sequence[int]) -> float:
    """Exact two-sided p-value of McNemar's test that both classifiers err equally often.

    Only rows that exactly one of them gets right count; under the null each is equally likely to be the one.

    Args:
        labels: (rows,), the truth.
        first: (rows,), one classifier's labels.
        second: (rows,), the other's.

    Returns:
        In (0, 1]; 1 where they are right on the same rows.

    Source: McNemar 1947, doi:10.1007/BF02295996; the binomial form, as advised for few discordant rows.
    """
    right = [(a == label, b == label) for label, a, b in zip(labels, first, second, strict=True)]
    only_first, only_second = right.count((True, False)), right.count((False, True))
    discordant = only_first + only_second
    tail: int = sum(comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**discordant)))
