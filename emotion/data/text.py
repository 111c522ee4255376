"""Turn text into model input: normalise as the backbone's authors did, tokenise, pad."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils.generic import PaddingStrategy

from emotion.errors import UserError, first_line

TokenIds = np.ndarray
"""(tokens,), int32: one text's token ids, specials included."""
TEXTS_AT_ONCE = 8_192
"""Texts of a call of the tokenizer, whose result takes some kilobytes for each."""


@contextmanager
def _failures_named() -> Iterator[None]:
    """Tell in one line what a tokenizer of a file cannot do, such as a pattern that takes too many tries."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # how tokenizers gives up
            raise
        raise UserError(f"weights: must have a tokenizer for all texts, found {first_line(error)}") from error


def normalize_cardiff(text: str) -> str:
    """Replace ``@anyone`` with ``@user`` and ``http...`` with ``http``, word by word.

    Source: the model card of cardiffnlp/twitter-roberta-base.
    """

    def word(piece: str) -> str:
        if piece.startswith("@") and len(piece) > 1:
            return "@user"
        return "http" if piece.startswith("http") else piece

    return " ".join(word(piece) for piece in text.split(" "))


class UniqueRows(NamedTuple):
    """The token ids of texts, each distinct text once."""

    rows: list[TokenIds]
    truncated: np.ndarray
    """(rows,), bool: whether the text had more tokens than ``max_length``."""
    places: np.ndarray
    """(texts,), int64: the row of each text."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Turns texts into token ids and token ids into padded batches.

    ``normalization`` ``"bertweet"`` is the tokenizer's own (it must be loaded with ``normalization=True``).
    """

    tokenizer: PreTrainedTokenizerBase
    normalization: str
    max_length: int
    pad_to_multiple_of: int = 1
    """Padded lengths are multiples of it, up to ``max_length``."""

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the token ids of each text, cut to ``max_length``, specials included."""
        rows, _ = self.encode_and_mark(texts)
        return rows

    def encode_and_mark(self, texts: Sequence[str]) -> tuple[list[TokenIds], np.ndarray]:
        """Return what :meth:`encode` does, and whether each text was cut, (texts,), bool.

        Raises:
            UserError: The tokenizer fails.
        """
        if not texts:
            return [], np.zeros(0, dtype=bool)
        if self.normalization == "cardiff":
            texts = [normalize_cardiff(text) for text in texts]
        rows, truncated = list[TokenIds](), list[bool]()
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = list(texts[start : start + TEXTS_AT_ONCE])
            with _failures_named():
                found, cut = self._tokenized(part)
            rows += found
            truncated += cut
        return rows, np.array(truncated)

    def _tokenized(self, texts: list[str]) -> tuple[list[TokenIds], list[bool]]:
        """Return what :meth:`encode_and_mark` does, of texts that are normalised."""
        if self.tokenizer.is_fast:
            # As a call of the tokenizer, without the places of tokens in their texts, which take a third of its time.
            self.tokenizer.set_truncation_and_padding(
                PaddingStrategy.DO_NOT_PAD, TruncationStrategy.LONGEST_FIRST, self.max_length, 0, None, None
            )
            encodings = self.tokenizer.backend_tokenizer.encode_batch_fast(texts)
            return [_row(each.ids) for each in encodings], [bool(each.overflowing) for each in encodings]
        found = self.tokenizer(texts, truncation=True, max_length=self.max_length, return_attention_mask=False)
        rows = [_row(ids) for ids in found["input_ids"]]
        cut = [  # it does not say so itself
            len(row) == self.max_length and len(self.tokenizer(text)["input_ids"]) > self.max_length
            for row, text in zip(rows, texts, strict=True)
        ]
        return rows, cut

    def encode_unique(self, texts: Sequence[str]) -> "UniqueRows":
        """Encode each distinct text once."""
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        rows, truncated = self.encode_and_mark(list(places))
        return UniqueRows(rows, truncated, np.array([places[text] for text in texts], dtype=np.int64))

    def padded_length(self, longest: int) -> int:
        """Return the padded length, in tokens, of a batch whose longest row has ``longest``."""
        step = self.pad_to_multiple_of
        return max(longest, min(math.ceil(longest / step) * step, self.max_length))

    def pad(self, rows: Sequence[TokenIds]) -> dict[str, Tensor]:
        """Return ``input_ids`` and ``attention_mask``, each (rows, tokens), int64, padded on the right."""
        return {name: torch.from_numpy(values) for name, values in self.padded(rows).items()}

    def padded(self, rows: Sequence[TokenIds]) -> dict[str, np.ndarray]:
        """Return what :meth:`pad` does, as arrays."""
        tokens = self.padded_length(max(map(len, rows)))
        input_ids = np.full((len(rows), tokens), self.tokenizer.pad_token_id, dtype=np.int64)
        attention_mask = np.zeros((len(rows), tokens), dtype=np.int64)
        for index, row in enumerate(rows):
            input_ids[index, : len(row)] = row
            attention_mask[index, : len(row)] = 1
        return {"input_ids": input_ids, "attention_mask": attention_mask}


def _row(ids: list[int]) -> TokenIds:
    return np.asarray(ids, dtype=np.int32)
