"""Turn text into model input: normalise as the backbone's authors did, tokenise, pad."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

TokenIds = np.ndarray
"""(tokens,), int32: one text's token ids, specials included."""


def normalize_cardiff(text: str) -> str:
    """Replace ``@anyone`` with ``@user`` and ``http...`` with ``http``, word by word.

    Source: the model card of cardiffnlp/twitter-roberta-base.
    """

    def word(piece: str) -> str:
        if piece.startswith("@") and len(piece) > 1:
            return "@user"
        return "http" if piece.startswith("http") else piece

    return " ".join(word(piece) for piece in text.split(" "))


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
        if not texts:
            return []
        if self.normalization == "cardiff":
            texts = [normalize_cardiff(text) for text in texts]
        rows = self.tokenizer(list(texts), truncation=True, max_length=self.max_length, return_attention_mask=False)[
            "input_ids"
        ]
        return [np.asarray(row, dtype=np.int32) for row in rows]

    def encode_unique(self, texts: Sequence[str]) -> tuple[list[TokenIds], np.ndarray]:
        """Return the token ids of each distinct text, and each text's place among them, (texts,), int64."""
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        return self.encode(list(places)), np.array([places[text] for text in texts], dtype=np.int64)

    def padded_length(self, longest: int) -> int:
        """Return the padded length, in tokens, of a batch whose longest row has ``longest``."""
        step = self.pad_to_multiple_of
        return max(longest, min(math.ceil(longest / step) * step, self.max_length))

    def pad(self, rows: Sequence[TokenIds]) -> dict[str, Tensor]:
        """Return ``input_ids`` and ``attention_mask``, each (rows, tokens), int64, padded on the right."""
        tokens = self.padded_length(max(len(row) for row in rows))
        input_ids = np.full((len(rows), tokens), self.tokenizer.pad_token_id, dtype=np.int64)
        attention_mask = np.zeros((len(rows), tokens), dtype=np.int64)
        for index, row in enumerate(rows):
            input_ids[index, : len(row)] = row
            attention_mask[index, : len(row)] = 1
        return {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(attention_mask)}
