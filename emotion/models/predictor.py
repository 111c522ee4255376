"""The predictor: a loaded classifier with all that it needs to go from texts to probabilities."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from emotion.config import conf_value
from emotion.data import TextEncoder, TokenIds, prefetched
from emotion.errors import UserError
from emotion.labels import LabelSet
from emotion.models.backbone import Backbone
from emotion.models.config import ModelConfig
from emotion.models.familiarity import Familiarity, doubt
from emotion.models.forks import predict_after_forks
from emotion.models.int8 import is_int8
from emotion.models.onnx_runtime import BatchOutput, OnnxClassifier
from emotion.models.outputs import joined_outputs, padded_batches
from emotion.models.predictions import NotFiniteError, Predictions

BATCH_SIZE: int = conf_value("data/csv", "batch_size")
CHUNK_TEXTS = 8_192
"""Texts that are sorted by length together: enough to fill batches with texts of similar length."""


@dataclass(slots=True)
class Predictor:
    """A fine-tuned classifier, its tokenizer, and where both came from."""

    model: PreTrainedModel | OnnxClassifier
    """The classifier, in eval mode."""
    tokenizer: PreTrainedTokenizerBase
    tokenizer_files: dict[str, bytes]
    """The tokenizer's original files, by name."""
    model_id: str
    """Hub id or folder of the backbone."""
    model_name: str
    labels: LabelSet
    max_length: int
    """Tokens a text, specials included; longer texts are cut."""
    normalization: str
    commit: str | None = None
    """The backbone's commit on the hub."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the training run recorded; empty for a checkpoint of another tool."""
    temperature: float = 1.0
    """Divides the logits before the softmax, > 0: calibrates probabilities, changes no label."""
    familiarity: Familiarity | None = None
    """How far texts are from those that the model was fitted to; probabilities are less sure of those far away."""

    def __post_init__(self) -> None:
        predict_after_forks()

    @classmethod
    def of_backbone(
        cls,
        backbone: Backbone,
        config: ModelConfig,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        labels: LabelSet,
        max_length: int,
    ) -> Self:
        """Wrap ``model``, fine-tuned from ``backbone``, which ``config`` chose."""
        return cls(
            model=model.eval(),  # type: ignore[no-untyped-call]
            tokenizer=tokenizer,
            tokenizer_files=backbone.tokenizer_files(),
            model_id=config.backbone,
            model_name=config.name,
            labels=labels,
            max_length=max_length,
            normalization=config.normalization,
            commit=backbone.commit,
        )

    @property
    def encoder(self) -> TextEncoder:
        """The encoder from texts to token ids and padded batches."""
        return TextEncoder(self.tokenizer, self.normalization, self.max_length)

    @property
    def precision(self) -> str:
        """``float32``, ``float16``, ``bfloat16``, ``int8`` (bitsandbytes) or ``onnx``, of all but the head's weights.

        The head is in FP32. ``onnx`` is a model in ONNX Runtime, in FP32 or INT8.
        """
        if isinstance(self.model, OnnxClassifier):
            return "onnx"
        return "int8" if is_int8(self.model.config) else str(self.model.config.dtype).removeprefix("torch.")

    @property
    def torch_model(self) -> PreTrainedModel:
        """The model, in torch. Raises :class:`UserError` if it is in ONNX Runtime."""
        if isinstance(self.model, OnnxClassifier):
            raise UserError("weights: must be a .pt checkpoint, found a model in ONNX Runtime, which cannot be changed")
        return self.model

    def is_unfamiliar(self, found: Predictions) -> np.ndarray | None:
        """Return whether each text is unlike those that the model was fitted to, (texts,), bool; None if unknown."""
        if self.familiarity is None or found.distances is None:
            return None
        strange: np.ndarray = found.distances > self.familiarity.limit
        return strange

    def predict(self, texts: Sequence[str], batch_size: int = BATCH_SIZE) -> list[int]:
        """Predict the class index of each text, in order, in [0, len(labels)).

        They are those of highest probability in :meth:`predict_texts`, without the time that probabilities take.

        Raises:
            NotFiniteError: The model's logits for a text are not finite.
        """
        indices: list[int] = []
        for found, _, places in self._chunks(texts, batch_size):
            _require_finite(np.isfinite(found.logits).all(axis=-1)[places], len(indices))
            indices += found.logits.argmax(axis=-1)[places].tolist()
        return indices

    def predict_proba(
        self, texts: Sequence[str], batch_size: int = BATCH_SIZE, advance: Callable[[int], None] | None = None
    ) -> Tensor:
        """Predict the probability of each class for each text, (texts, classes), as :meth:`predict_texts` does."""
        return self.predict_texts(texts, batch_size, advance).probabilities

    def predict_texts(
        self, texts: Sequence[str], batch_size: int = BATCH_SIZE, advance: Callable[[int], None] | None = None
    ) -> Predictions:
        """Predict the probability of each class for each text, and say which texts were cut.

        The same texts in the same order with the same batch size always share the same batches. Equal texts of a
        chunk are computed once, and a chunk is tokenised while the one before it is predicted.

        Args:
            texts: Any strings, empty ones included.
            batch_size: Texts a forward pass, >= 1.
            advance: Called after each batch with the number of texts that are done.

        Raises:
            NotFiniteError: The model's logits for a text are not finite.
        """
        probabilities = np.empty((len(texts), len(self.labels)), dtype=np.float32)
        truncated = np.zeros(len(texts), dtype=bool)
        distances = np.zeros(len(texts))
        done = 0
        for found, cut, places in self._chunks(texts, batch_size, advance, self.familiarity is not None):
            far = np.zeros(len(found.logits))
            if self.familiarity is not None and found.features is not None:
                far = self.familiarity.distances(found.features)
            _require_finite((np.isfinite(found.logits).all(axis=-1) & np.isfinite(far))[places], done)
            calibrated = found.logits / (self.temperature * doubt(far)).astype(np.float32)[:, None]
            chunk = slice(done, done + len(places))
            # Not torch's own, whose threads would wait for those of ONNX Runtime, which still spin.
            probabilities[chunk] = softmax(calibrated, axis=-1)[places]
            distances[chunk], truncated[chunk] = far[places], cut[places]
            done += len(places)
        unknown = self.familiarity is None
        return Predictions(torch.from_numpy(probabilities), truncated, None if unknown else distances)

    def _chunks(
        self,
        texts: Sequence[str],
        batch_size: int,
        advance: Callable[[int], None] | None = None,
        with_features: bool = False,
    ) -> Iterator[tuple[BatchOutput, np.ndarray, np.ndarray]]:
        """Yield, of each chunk of texts, the model's output for its distinct texts, which of them were cut, and the
        place of each text among them."""
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, not one string")
        encoder = self.encoder
        chunks = [texts[start : start + CHUNK_TEXTS] for start in range(0, len(texts), CHUNK_TEXTS)]
        encoded = (encoder.encode_unique(chunk) for chunk in chunks)
        for rows, cut, places in prefetched(encoded) if len(chunks) > 1 else encoded:
            count = None if advance is None else partial(_advance_texts, advance, np.bincount(places))
            yield joined_outputs(self.model, encoder, rows, batch_size, count, with_features), cut, places

    def logits(self, rows: Sequence[TokenIds], batch_size: int = BATCH_SIZE) -> Tensor:
        """Compute the logits of token ids, (rows, classes), float32 on the CPU, before any temperature.

        Args:
            rows: Token ids of each text, as :attr:`encoder` makes them.
            batch_size: Rows a forward pass, >= 1.
        """
        return torch.from_numpy(joined_outputs(self.model, self.encoder, rows, batch_size).logits)

    def features(self, texts: Sequence[str]) -> np.ndarray | None:
        """Compute what the distances of texts come from, (texts, features), float32; None if the model shows none."""
        rows = self.encoder.encode(texts)
        return joined_outputs(self.model, self.encoder, rows, BATCH_SIZE, with_features=True).features

    def batches(
        self, rows: Sequence[TokenIds], batch_size: int = BATCH_SIZE, most_tokens: int | None = None
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Yield padded batches of rows of similar length, the longest rows first.

        Args:
            rows: Token ids of each text, as :attr:`encoder` makes them.
            batch_size: Rows a batch, >= 1.
            most_tokens: Most tokens of a batch of several rows, padding included, >= 1; None = any number.

        Yields:
            The places of a batch's rows in ``rows``, and ``input_ids`` and ``attention_mask``, each (rows of the batch,
            tokens), int64, on the model's device.
        """
        device = self.model.device
        for batch, padded in padded_batches(self.model, self.encoder, rows, batch_size, most_tokens):
            yield batch, {name: torch.from_numpy(ids).to(device) for name, ids in padded.items()}


def _require_finite(finite: np.ndarray, first: int) -> None:
    """Raise :class:`NotFiniteError` for the texts of a chunk, of which ``first`` is the first one's place."""
    if not finite.all():
        raise NotFiniteError((first + (~finite).nonzero()[0]).tolist())


def _advance_texts(advance: Callable[[int], object], copies: np.ndarray, batch: list[int]) -> None:
    """Count the texts of a batch of distinct rows."""
    advance(int(copies[batch].sum()))
