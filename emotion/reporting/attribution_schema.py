"""Schema of ``attributions.json``."""

from typing import Literal

from emotion.prediction import Explanation
from emotion.reporting.schema import Report, Strict


class ScoredWord(Strict):
    """A word, or neighbouring words that are scored together."""

    start: int
    """Place of its first character in the text."""
    end: int
    """Place after its last character."""
    word: str
    score: float


class AttributedText(Strict):
    """A text and its words' scores."""

    row: int
    text: str
    true_label: str | None
    label: str
    """The explained class."""
    probability: float
    convergence_gap: float | None
    words: list[ScoredWord]


class Attributions(Report):
    """The whole file."""

    schema_version: Literal[1] = 1
    model_name: str
    method: str
    labels: list[str]
    texts: list[AttributedText]


def as_attributions(explanation: Explanation) -> Attributions:
    """Turn an explanation into what its file holds."""
    names = explanation.names
    texts = []
    for explained in explanation.texts:
        each, truth = explained.attribution, explained.true_label
        words = [
            ScoredWord(start=w.start, end=w.end, word=each.text[w.start : w.end], score=w.score) for w in each.words
        ]
        texts.append(
            AttributedText(
                row=explained.row,
                text=each.text,
                true_label=None if truth is None else names[truth],
                label=names[each.label],
                probability=each.probability,
                convergence_gap=each.convergence_gap,
                words=words,
            )
        )
    return Attributions(model_name=explanation.model_name, method=explanation.method, labels=list(names), texts=texts)
