"""Change training texts in ways that keep their label, differently in each epoch, for models that meet other texts."""

import re
from collections.abc import Callable, Mapping, Sequence
from string import punctuation

import numpy as np

from emotion.models import fit_svm
from emotion.training.config import AugmentationConfig

Rng = np.random.Generator
Change = Callable[[str, Rng], str]

_FRAME = re.compile(
    r"\b(?:(?:i|we|you|he|she|they)\s+)?(?:(?:am|im|m|was|were|is|are|have been|had been|can|could|still|just|also"
    r"|really|always|often|sometimes|do|dont|don't|didn't)\s+)*"
    r"(?:feel|feeling|felt|feels)(?:\s+(?:like|that|as if))?\b",
    re.IGNORECASE,
)
"""A report of one's own feeling, such as "i feel", "i was feeling like" or "feeling"."""
_WORD = re.compile(r"\w")
_OTHER_FRAMES = ("", "", "", "i am", "i'm", "it is", "that's", "this is", "was", "so", "being", "they are", "you are")
_ENDS = (".", ".", ".", "!", "!", "!!", "...", "?", " :")
_EMOJI = ("👀", "📷", "☕", "🌍", "🐱", "🎧", "🚗", "🍕")
"""Things, which show no emotion."""
_MENTIONS = ("@user", "[NAME]", "u/someone", "@friend")
_LINKS = ("http://example.org", "https://t.co/abc", "[link](http://example.org)", "HTTPURL")


def vary_frame(text: str, rng: Rng) -> str:
    """Drop the first report of one's own feeling, or say it in other words."""
    return _FRAME.sub(lambda _: _OTHER_FRAMES[rng.integers(len(_OTHER_FRAMES))], text, count=1).strip()


def vary_case(text: str, rng: Rng) -> str:
    """Write the text with a capital at its start, most often, or in capitals or in title case."""
    return (text[:1].upper() + text[1:], text[:1].upper() + text[1:], text.upper(), text.title())[rng.integers(4)]


def add_punctuation(text: str, rng: Rng) -> str:
    """Put a comma behind one of the words, and end the text with a mark."""
    words = text.split(" ")
    place = int(rng.integers(len(words)))
    words[place] += "," if place < len(words) - 1 and words[place] else ""
    return " ".join(words) + _ENDS[rng.integers(len(_ENDS))]


def _inserter(words: Sequence[str]) -> Change:
    def insert(text: str, rng: Rng) -> str:
        found = text.split(" ")
        found.insert(int(rng.integers(len(found) + 1)), words[int(rng.integers(len(words)))])
        return " ".join(found)

    return insert


def add_typos(text: str, rng: Rng) -> str:
    """Swap two letters of a word of four or more letters, leave out one, or double one."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) >= 4]
    if not long:
        return text
    place = long[rng.integers(len(long))]
    word = words[place]
    letter = int(rng.integers(1, len(word) - 1))
    pair = word[letter : letter + 2]
    words[place] = word[:letter] + (pair[::-1], pair[1:], pair[0] + pair)[rng.integers(3)] + word[letter + 2 :]
    return " ".join(words)


CHANGES: dict[str, Change] = {
    "frame": vary_frame,
    "typos": add_typos,
    "mention": _inserter(_MENTIONS),
    "link": _inserter(_LINKS),
    "emoji": _inserter(_EMOJI),
    "punctuation": add_punctuation,
    "case": vary_case,
}
"""The changes that need nothing but the text, by the setting that gives their share, in the order they are done."""


class Augmentation:
    """Makes the texts of each epoch.

    Args:
        config: How many of the rows each change meets.
        texts: (rows,), the training texts.
        labels: (rows,), class indices in [0, classes).
        classes: Number of classes.
        seed: With the epoch, all that the changes depend on.
    """

    def __init__(
        self, config: AugmentationConfig, texts: Sequence[str], labels: Sequence[int], classes: int, seed: int
    ) -> None:
        self._texts, self._labels, self._seed = texts, labels, seed
        self._crop, self._mask = config.crop, config.mask
        svm = fit_svm(texts, labels, classes) if config.crop or config.mask else None
        self._weights = svm.word_weights() if svm is not None else [{}] * classes
        shares = config.model_dump()
        self._changes = [(shares[name], change) for name, change in CHANGES.items() if shares[name]]

    def texts(self, epoch: int) -> list[str]:
        """Return a text for each row, in order; one that would have no word left stays as it is."""
        rng = np.random.default_rng([self._seed, epoch])
        return [self._changed(text, label, rng) for text, label in zip(self._texts, self._labels, strict=True)]

    def _changed(self, text: str, label: int, rng: Rng) -> str:
        weights = self._weights[label]
        if self._crop and rng.random() < self._crop:
            text = crop(text, weights, rng)
        if self._mask and rng.random() < self._mask:
            text = drop_most_telling_word(text, weights)
        for share, change in self._changes:
            if rng.random() < share:
                changed = change(text, rng)
                text = changed if _WORD.search(changed) else text
        return text


def crop(text: str, weights: Mapping[str, float], rng: Rng) -> str:
    """Keep a stretch of the text around its most telling word."""
    words = text.split()
    if not words:
        return text
    place = _most_telling(words, weights)
    before, after = int(rng.integers(place + 1)), int(rng.integers(place + 1, len(words) + 1))
    return " ".join(words[before:after])


def drop_most_telling_word(text: str, weights: Mapping[str, float]) -> str:
    """Leave out the word that weighs most; a text of one word stays as it is."""
    words = text.split()
    if len(words) < 2:
        return text
    del words[_most_telling(words, weights)]
    return " ".join(words)


def _most_telling(words: Sequence[str], weights: Mapping[str, float]) -> int:
    return max(range(len(words)), key=lambda place: weights.get(words[place].lower().strip(punctuation), 0.0))
