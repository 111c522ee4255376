"""Split a text into the words that are scored, and find the word of each token."""

import re
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from emotion.data import TextEncoder, normalize_cardiff
from emotion.evaluation.attributions import LONGEST_WORDS

Span = tuple[int, int]
"""Places in a text: of the first character, and after the last one."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
"""Characters of scripts that put no spaces between words."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class ReadWords:
    """The words of a text that a model reads."""

    spans: list[Span]
    owners: np.ndarray
    """(tokens,), int64: the span that each token belongs to; -1 for the tokens that the model adds."""


def is_unspaced(character: str) -> bool:
    """Return whether a character is of a script that puts no spaces between words."""
    return re.match(f"[{_UNSPACED}]", character) is not None


def split_words(text: str) -> list[Span]:
    """Return the words: pieces between spaces and, in scripts without spaces, single characters with their marks."""
    spans: list[Span] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        is_mark = unicodedata.category(text[start]).startswith("M")
        if is_mark and spans and spans[-1][1] == start:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((start, end))
    return spans


def read_words(encoder: TextEncoder, text: str) -> ReadWords:
    """Find the words of which a model reads at least one token, joined to at most :data:`LONGEST_WORDS` groups."""
    spans = split_words(text)
    owners = _owners_by_offsets(encoder, text, spans) if encoder.tokenizer.is_fast else _owners(encoder, text, spans)
    spans = spans[: int(owners.max(initial=-1)) + 1]
    if len(spans) <= LONGEST_WORDS:
        return ReadWords(spans, owners)
    groups = np.array_split(np.arange(len(spans)), LONGEST_WORDS)
    group_of = np.repeat(np.arange(LONGEST_WORDS), [len(group) for group in groups])
    joined = [(spans[group[0]][0], spans[group[-1]][1]) for group in groups]
    return ReadWords(joined, np.where(owners < 0, -1, group_of[owners]))


def _owners_by_offsets(encoder: TextEncoder, text: str, spans: list[Span]) -> np.ndarray:
    """Use the places that a tokenizer in Rust gives for each token; a space belongs to the word after it."""
    normalised, places = _normalised(encoder, text)
    batch = encoder.tokenizer(
        normalised,
        truncation=True,
        max_length=encoder.max_length,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    # Of a token in the text, its last character decides: its first may be the space before the word.
    last = np.array([max(start, end - 1) for start, end in batch["offset_mapping"]], dtype=np.int64)
    added = np.array(batch["special_tokens_mask"], dtype=bool)
    if not spans:
        return np.full(len(last), -1, dtype=np.int64)
    original = places[np.minimum(last, len(places) - 1)]
    ends = np.array([end for _, end in spans])
    owner = np.searchsorted(ends, original, side="right").clip(max=len(spans) - 1)
    return np.where(added, -1, owner)


def _normalised(encoder: TextEncoder, text: str) -> tuple[str, np.ndarray]:
    """Return the text as the tokenizer gets it, and the place of each of its characters in ``text``."""
    if encoder.normalization != "cardiff":
        return text, np.arange(len(text))
    places: list[int] = []
    start = 0
    for piece in text.split(" "):
        written = normalize_cardiff(piece)
        same = written == piece
        places += range(start, start + len(piece)) if same else [start] * len(written)
        start += len(piece)
        places.append(start)  # the space
        start += 1
    return normalize_cardiff(text), np.array(places[:-1], dtype=np.int64)


def _owners(encoder: TextEncoder, text: str, spans: list[Span]) -> np.ndarray:
    """Align the tokens of the whole text with those of each word alone, for a tokenizer that gives no places.

    Where both differ, because neighbours change how a word is read, tokens are dealt out in proportion.
    """
    tokenizer = encoder.tokenizer
    batch = tokenizer(text, truncation=True, max_length=encoder.max_length, return_special_tokens_mask=True)
    added = np.array(batch["special_tokens_mask"], dtype=bool)
    whole = np.array(batch["input_ids"])[~added].tolist()
    alone: list[int] = []
    alone_owners: list[int] = []
    for owner, (start, end) in enumerate(spans):
        if len(alone) >= encoder.max_length:
            break
        ids = tokenizer(text[start:end], add_special_tokens=False)["input_ids"]
        alone += ids
        alone_owners += [owner] * len(ids)
    owners = np.full(len(added), -1, dtype=np.int64)
    if alone:
        owners[~added] = _aligned(alone, alone_owners, whole)
    return owners


def _aligned(alone: list[int], alone_owners: list[int], whole: list[int]) -> list[int]:
    """Return the owner of each token of ``whole``."""
    owners: list[int] = []
    for _, first, last, start, end in SequenceMatcher(None, alone, whole, autojunk=False).get_opcodes():
        width = last - first
        for place in range(end - start):
            nearest = first + place * width // (end - start) if width else first - 1
            owners.append(alone_owners[max(nearest, 0)])
    return owners
