"""Render an attribution for HTML."""

from collections.abc import Sequence
from html import escape

from emotion.evaluation import Attribution
from emotion.reporting.attribution_text import INK, Piece, pieces, with_scores


def attribution_html(attribution: Attribution, names: Sequence[str]) -> str:
    """Render the text with a shade behind each word, as one paragraph that needs no style sheet.

    Each word is a ``span`` with its score in the CSS property ``--score`` and in its ``title``. The label for screen
    readers names the class and all words with their scores. All that comes from the text or a name is escaped.

    Args:
        attribution: What to render.
        names: The classes' names, in order.
    """
    label = f"{names[attribution.label]} {attribution.probability:.0%}: "
    label += with_scores(attribution, attribution.words) or "no words"
    body = "".join(_span(piece) for piece in pieces(attribution))
    return (
        f'<p class="attribution" role="group" aria-label="{escape(label)}"'
        f' style="white-space: pre-wrap; overflow-wrap: anywhere">{body}</p>'
    )


def _span(piece: Piece) -> str:
    if piece.score is None:
        return escape(piece.text)
    style = f"--score: {piece.score:.4g}"
    if piece.shade is not None:
        style += f"; background: {piece.shade}; color: {INK}; border-radius: 0.2em"
    return f'<span style="{style}" title="{piece.score:+.2g}">{escape(piece.text)}</span>'
