"""What all renderings of an attribution share: the pieces of its text, their shades, and the words that count most."""

from collections.abc import Sequence
from dataclasses import dataclass

from emotion.evaluation import Attribution, WordScore
from emotion.prediction import ExplainedText

FOR, AGAINST, INK = "#6aa9e0", "#f0a15c", "#1a202c"
"""The strongest shades, blue and orange, which people with any colour vision tell apart; and the text's colour, whose
contrast with both is more than 7 to 1."""
_FAINTEST = 0.06
"""Share of the largest score below which a word is not shaded."""
_WEAKEST = 0.05
"""If no word has a larger score, none gets the full colour: without it, the class is as probable up to a twentieth."""
_LONGEST_WORD = 40


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: a word with its score, or what is between words or after the last one."""

    text: str
    score: float | None = None
    """None where no word is."""
    shade: str | None = None
    """Background, ``#rrggbb``; None = none."""


def pieces(attribution: Attribution) -> list[Piece]:
    """Split the text at its words; joined, the pieces are the text again."""
    text, largest = attribution.text, largest_score(attribution)
    found: list[Piece] = []
    place = 0
    for word in attribution.words:
        found.append(Piece(text[place : word.start]))
        found.append(Piece(text[word.start : word.end], word.score, shade(word.score, largest)))
        place = word.end
    found.append(Piece(text[place:]))
    return [piece for piece in found if piece.text]


def shade(score: float, largest: float) -> str | None:
    """Return a word's background: white to the full colour, by the share of the largest score; None if it is faint.

    Args:
        score: The word's score.
        largest: The score that gets the full colour, > 0.
    """
    share = min(abs(score) / largest, 1.0)
    if share < _FAINTEST:
        return None
    full = bytes.fromhex((FOR if score > 0 else AGAINST)[1:])
    return "#" + bytes(round(255 - share * (255 - part)) for part in full).hex()


def largest_score(attribution: Attribution) -> float:
    """Return the score that gets the full colour: the largest absolute one, or more if all are next to nothing."""
    return max([_WEAKEST, *(abs(word.score) for word in attribution.words)])


def strongest(attribution: Attribution, sign: int, most: int) -> list[WordScore]:
    """Return up to ``most`` words for the class (``sign`` 1) or against it (-1), the strongest first."""
    threshold = _FAINTEST * largest_score(attribution)
    words = [word for word in attribution.words if word.score * sign > 0 and abs(word.score) >= threshold]
    return sorted(words, key=lambda word: -abs(word.score))[:most]


def with_scores(attribution: Attribution, words: Sequence[WordScore]) -> str:
    """Write words with their scores: ``happy +1.2, not -0.31``."""
    return ", ".join(f"{_short(attribution.text[word.start : word.end])} {word.score:+.2g}" for word in words)


def heading(explained: ExplainedText, names: Sequence[str]) -> str:
    """Write the class, its probability and, if known, whether it is right."""
    attribution = explained.attribution
    start = f"{names[attribution.label]} {attribution.probability:.0%}"
    if explained.true_label is None:
        return start
    is_right = explained.true_label == attribution.label
    return f"{start}, right" if is_right else f"{start}, labelled {names[explained.true_label]}"


def _short(word: str) -> str:
    word = " ".join(word.split())
    return word if len(word) <= _LONGEST_WORD else word[: _LONGEST_WORD - 1] + "…"
