"""Print explanations to a terminal or a pipe."""

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.text import Text

from emotion.errors import printable
from emotion.evaluation import Attribution
from emotion.prediction import ExplainedText, Explanation
from emotion.reporting.attribution_text import INK, heading, pieces, strongest, with_scores

_MOST_WORDS = 5
_JOINER = "\u200d"
UNITS = {
    "occlusion": "log-probability that is lost without the word",
    "integrated_gradients": "share of the logit",
}
"""What the scores of each method are."""


def print_explanation(explanation: Explanation, folder: str | None = None) -> None:
    """Print each text with shades behind its words, and below it the words that count most, readable without colour.

    Args:
        explanation: What to print.
        folder: Where its files were written, if they were.
    """
    console = Console(highlight=False)
    for explained in explanation.texts:
        console.print(Text(f"{explained.row}: {heading(explained, explanation.names)}", style="bold"))
        console.print(Padding(_shaded(explained), (0, 0, 0, 2)))
        for line in _summary(explained.attribution):
            console.print(f"  {_safe(line)}", markup=False, soft_wrap=True)
        console.print()
    unit = UNITS[explanation.method]
    console.print(f"{explanation.model_name}, {explanation.method}: a word's score is the {unit}", markup=False)
    if folder is not None:
        console.print(f"Scores and picture: {folder}", markup=False, soft_wrap=True)


def _summary(attribution: Attribution) -> list[str]:
    """Return lines with the words that count most, for the class and against it."""
    by_side = {name: strongest(attribution, sign, _MOST_WORDS) for name, sign in (("for", 1), ("against", -1))}
    lines = [f"{name}: {with_scores(attribution, words)}" for name, words in by_side.items() if words]
    return lines or ["no word counts by itself"]


def _shaded(explained: ExplainedText) -> Text:
    """Return the text on one line, without codes that would steer the terminal."""
    text = Text()
    attribution = explained.attribution
    read = attribution.words[-1].end if attribution.words else 0
    place = 0
    for piece in pieces(attribution):
        shown = _safe(" ".join(piece.text.split()))
        if piece.score is None:
            shown = f" {shown} " if shown else " "
        is_unread = place >= read and bool(shown.strip())
        style = Style(dim=is_unread) if piece.shade is None else Style(color=INK, bgcolor=piece.shade)
        text.append(shown, style)
        place += len(piece.text)
    return text if text.plain.strip() else Text("(no text)")


def _safe(text: str) -> str:
    """Escape what could steer the terminal; joiners within emoji cannot."""
    return _JOINER.join(printable(part) for part in text.split(_JOINER))
