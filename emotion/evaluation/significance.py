"""Test whether two classifiers differ by more than chance."""

from collections.abc import Sequence
from itertools import accumulate
from math import exp, lgamma, log
from operator import mul


def mcnemar_p(labels: Sequence[int], first: Sequence[int], second: Sequence[int]) -> float:
    """Compute the exact two-sided p-value of McNemar's test that both classifiers err equally often.

    Only rows that exactly one of them gets right count; under the null hypothesis, each is equally likely to be right.

    Args:
        labels: (rows,), the truth.
        first: (rows,), one classifier's labels.
        second: (rows,), the other's.

    Returns:
        The p-value in [0, 1]; 1 if they are right on the same rows.

    Source: McNemar 1947, doi:10.1007/BF02295996; the binomial form, as advised for few discordant rows.
    """
    right = [(a == label, b == label) for label, a, b in zip(labels, first, second, strict=True)]
    only_first, only_second = right.count((True, False)), right.count((False, True))
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    # Sum the binomial distribution's tail from its largest term down, with each term as a share of the largest.
    ratios = accumulate((k / (discordant - k + 1) for k in range(fewer, 0, -1)), mul, initial=1.0)
    largest = lgamma(discordant + 1) - lgamma(fewer + 1) - lgamma(discordant - fewer + 1) - discordant * log(2)
    return min(1.0, 2 * sum(ratios) * exp(largest))
