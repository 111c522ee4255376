"""Tell whether a CSV as a whole is unlike the text that a model was fitted to."""

from collections.abc import Sequence

from scipy import stats

from emotion.models import UNFAMILIAR_QUANTILE

UNFAMILIAR = "unfamiliar"
"""Column that says whether a row is unlike the text that the model was fitted to; written if the model can tell."""
USUAL_SHARE = 1 - UNFAMILIAR_QUANTILE
"""Share of unfamiliar rows among text like that."""
_MUCH, _CHANCE = 2.0, 0.001


def is_unlike(unfamiliar: Sequence[bool]) -> bool:
    """Return whether more than twice the usual share of the rows is unfamiliar, and not by chance.

    Args:
        unfamiliar: (rows,), or empty if the model cannot tell.
    """
    rows, strange = len(unfamiliar), sum(unfamiliar)
    if not rows or strange <= _MUCH * USUAL_SHARE * rows:
        return False
    return bool(stats.binomtest(strange, rows, USUAL_SHARE, alternative="greater").pvalue < _CHANCE)
