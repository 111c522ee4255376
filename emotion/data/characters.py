"""Describe the characters and words of texts."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"\w+")
_KINDS = {
    "Ll": "lower-case letters",
    "Lu": "upper-case letters",
    "Lt": "upper-case letters",
    "L": "letters without case",
    "M": "accents and other marks",
    "N": "digits",
    "P": "punctuation",
    "S": "symbols",
    "C": "control and invisible characters",
}
"""Names of Unicode's general categories, by their two letters or the first of them."""
_PICTURES = ((0x2600, 0x27BF), (0x1F000, 0x1FAFF), (0xFE0F, 0xFE0F))
"""Code points that count as emoji: the blocks of pictures, and the sign that asks for a coloured one."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a split: runs of letters, digits and underscores, in any case.

    Scripts without spaces, such as Chinese, have few, long ones.
    """

    total: int
    distinct: int
    unseen: float
    """Share of the words in running text that the training texts lack, in [0, 1]; 0 where there are no words."""
    unseen_distinct: float
    """The same share of the distinct words."""


def character_kinds(texts: Iterable[str]) -> dict[str, int]:
    """Count the texts that hold at least one character of each kind, the most frequent kind first."""
    return _counted(texts, _kind)


def scripts(texts: Iterable[str]) -> dict[str, int]:
    """Count the texts that hold at least one letter of each script, the most frequent script first.

    A script is the first word of the letters' names in Unicode: ``Latin``, ``Cyrillic``, ``Cjk``, ``Hangul``.
    """
    return _counted(texts, _script)


def word_counts(texts: Iterable[str]) -> Counter[str]:
    """Count the words of texts, case-folded."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_WORD.findall(text.casefold()))
    return counts


def describe_words(texts: Sequence[str], known: Container[str] | None = None) -> Words:
    """Describe the words of texts.

    Args:
        texts: The texts.
        known: Words of the training texts; None = these are the training texts.
    """
    counts = word_counts(texts)
    total = sum(counts.values())
    unseen = {} if known is None else {word: count for word, count in counts.items() if word not in known}
    return Words(
        total=total,
        distinct=len(counts),
        unseen=sum(unseen.values()) / max(total, 1),
        unseen_distinct=len(unseen) / max(len(counts), 1),
    )


def _counted(texts: Iterable[str], name_of: Callable[[str], str | None]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({name for name in map(name_of, set(text)) if name is not None})
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


@lru_cache(maxsize=1 << 16)
def _kind(letter: str) -> str | None:
    """Name the kind of a character; None for white space."""
    if letter == "\ufffd":
        return "replacement characters (of a wrong encoding)"
    if any(low <= ord(letter) <= high for low, high in _PICTURES):
        return "emoji"
    if letter.isspace():
        return None
    category = unicodedata.category(letter)
    return _KINDS.get(category) or _KINDS[category[0]]


@lru_cache(maxsize=1 << 16)
def _script(letter: str) -> str | None:
    """Name the script of a letter; None for other characters."""
    if not letter.isalpha():
        return None
    return unicodedata.name(letter, "Unnamed").split()[0].capitalize()
