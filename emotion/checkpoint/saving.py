"""The portable checkpoint: one ``.pt`` that predicts with no network, no cache and no other file."""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from emotion.checkpoint.format import FORMAT, read, state_dict, to_tensor, write
from emotion.checkpoint.rebuild import build_model, build_tokenizer, find_config_and_tokenizer
from emotion.data.batching import LengthBucketBatchSampler
from emotion.data.prefetch import prefetched
from emotion.data.text import TextEncoder
from emotion.errors import UserError, first_line
from emotion.files import atomic
from emotion.labels import EMOTIONS
from emotion.models.backbone import Backbone
from emotion.models.int8 import is_int8
from emotion.models.onnx_runtime import OnnxClassifier
from emotion.models.pretrained import position_limit
from emotion.training.config import ModelConfig

log = logging.getLogger(__name__)

BATCH_SIZE = 32
CHUNK_TEXTS = 8_192
"""Enough of them that batches hold texts of like length."""


@dataclass(slots=True)
class Checkpoint:
    """A fine-tuned classifier with everything that prediction needs."""

    model: PreTrainedModel | OnnxClassifier
    """In eval mode."""
    tokenizer: PreTrainedTokenizerBase
    tokenizer_files: dict[str, bytes]
    model_id: str
    model_name: str
    max_length: int
    normalization: str
    commit: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    """As this program wrote it; empty for an earlier tool's checkpoint."""
    temperature: float = 1.0
    """Divides the logits before the softmax, > 0: calibrates probabilities, changes no label."""

    @classmethod
    def of_backbone(
        cls,
        backbone: Backbone,
        config: ModelConfig,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        metadata: dict[str, Any] | None = None,
    ) -> Self:
        """Of ``model``, which ``backbone``, chosen by ``config``, became."""
        return cls(
            model=model.eval(),  # type: ignore[no-untyped-call]
            tokenizer=tokenizer,
            tokenizer_files=backbone.tokenizer_files(),
            model_id=config.backbone,
            model_name=config.name,
            max_length=max_length,
            normalization=config.normalization,
            commit=backbone.commit,
            metadata=metadata or {},
        )

    @property
    def precision(self) -> str:
        """``float32``, ``float16``, ``bfloat16``, or ``int8`` by bitsandbytes; the head is in FP32 all the same.

        ``onnx`` for a model in ONNX Runtime, whatever its weights are in.
        """
        if isinstance(self.model, OnnxClassifier):
            return "onnx"
        return "int8" if is_int8(self.model.config) else str(self.model.config.dtype).removeprefix("torch.")

    @property
    def torch_model(self) -> PreTrainedModel:
        """The model, in torch. Raises :class:`UserError` where it is in ONNX Runtime."""
        if isinstance(self.model, OnnxClassifier):
            raise UserError("weights: must be a .pt checkpoint, found a model in ONNX Runtime, which cannot be changed")
        return self.model

    def predict(self, texts: Sequence[str], batch_size: int = BATCH_SIZE) -> list[int]:
        """Class index in [0, 6) of each text, in order."""
        labels: list[int] = self.predict_proba(texts, batch_size).argmax(dim=-1).tolist()
        return labels

    @torch.inference_mode()
    def predict_proba(
        self, texts: Sequence[str], batch_size: int = BATCH_SIZE, advance: Callable[[int], None] | None = None
    ) -> Tensor:
        """Probabilities (texts, 6), float32 on the CPU, rows sum to 1.

        Texts are batched by length within chunks, so results come out the same for the same texts and batch size.
        Equal texts of a chunk are computed once. A chunk is tokenised while the one before it is predicted.

        Args:
            texts: Any strings, empty ones included.
            batch_size: Texts a forward pass, >= 1.
            advance: Told how many texts were done, after each batch.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, not one string")
        probabilities = torch.empty(len(texts), len(EMOTIONS))
        encoder = TextEncoder(self.tokenizer, self.normalization, self.max_length)
        chunks = [texts[start : start + CHUNK_TEXTS] for start in range(0, len(texts), CHUNK_TEXTS)]
        done = 0
        encoded = (encoder.encode_unique(chunk) for chunk in chunks)
        for rows, place in prefetched(encoded) if len(chunks) > 1 else encoded:
            copies = np.bincount(place)
            unique = torch.empty(len(rows), len(EMOTIONS))
            for batch in LengthBucketBatchSampler(np.array([len(row) for row in rows]), batch_size, shuffle=False):
                padded = encoder.pad([rows[index] for index in batch])
                inputs = {name: ids.to(self.model.device) for name, ids in padded.items()}
                logits = self.model(**inputs).logits.float() / self.temperature
                unique[batch] = logits.softmax(dim=-1).cpu()
                if advance is not None:
                    advance(int(copies[batch].sum()))
            probabilities[done : done + len(place)] = unique[place]
            done += len(place)
        return probabilities

    def save(self, path: Path) -> None:
        """Write a file of :mod:`emotion.checkpoint.format`, atomically."""
        with atomic(path) as temporary:
            write(self.content(), temporary)

    def content(self) -> dict[str, Any]:
        """What the file holds, but for its format's name and version."""
        settings = {
            "max_length": self.max_length,
            "num_labels": len(EMOTIONS),
            "labels": EMOTIONS,
            "normalization": self.normalization,
            "temperature": self.temperature,
        }
        return {
            **_weights(self.model),
            "model_id": self.model_id,
            "model_name": self.model_name,
            "config": settings,
            "backbone_config": self.model.config.to_dict() | {"_name_or_path": self.model_id},
            "commit": self.commit,
            "tokenizer": {name: to_tensor(data) for name, data in self.tokenizer_files.items()},
            "metadata": self.metadata,
        }


def load(path: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint, ``.pt`` or ``.onnx``; an ``.onnx`` runs on the CPU, whatever the device.

    It may be ours, or an earlier tool's with just ``model_state_dict``, ``model_id``, ``model_name`` and ``config``;
    for the latter the backbone's config and tokenizer are looked up by ``model_id``.

    Raises:
        UserError: No such file, truncated, with code in it, of a newer schema, or not for the six emotions.
    """
    path = Path(path)
    content = read(path)
    try:
        return _restore(content, path, torch.device(device))
    except UserError:
        raise
    except Exception as error:  # whatever torch, transformers and tokenizers make of content that is not theirs
        raise UserError(f"{path}: must hold a model, its config and tokenizer, found {first_line(error)}") from error


def _weights(model: PreTrainedModel | OnnxClassifier) -> dict[str, Any]:
    if isinstance(model, OnnxClassifier):
        return {"onnx_model": model.serialized}
    return {"model_state_dict": model.state_dict()}


def _restore(content: dict[str, Any], path: Path, device: torch.device) -> Checkpoint:
    settings = content["config"]
    found_labels = settings.get("labels", list(EMOTIONS))
    if settings.get("num_labels") != len(EMOTIONS) or list(found_labels) != list(EMOTIONS):
        raise UserError(
            f"{path}: must have the {len(EMOTIONS)} labels {', '.join(EMOTIONS)},"
            f" found {settings.get('num_labels')} ({', '.join(map(str, found_labels))})"
        )
    if "backbone_config" in content:
        config = AutoConfig.for_model(**copy.deepcopy(content["backbone_config"]))
        files = {name: data.numpy().tobytes() for name, data in content["tokenizer"].items()}
    else:
        config, files = find_config_and_tokenizer(content["model_id"])
        log.warning(
            "%s was written by an earlier tool without a tokenizer: using %s's, with no text normalisation",
            path,
            content["model_id"],
        )
    normalization = settings.get("normalization", "none")
    if not files:
        raise UserError(f"{path}: must hold a tokenizer's files, found none")
    try:
        tokenizer = build_tokenizer(files, config, normalization)
    except UserError as error:
        raise UserError(f"{path}: must hold a tokenizer's files, found unusable {', '.join(files)}") from error
    model: PreTrainedModel | OnnxClassifier
    if "onnx_model" in content:
        model = OnnxClassifier(content["onnx_model"], config)
    else:
        model = build_model(config, state_dict(content), path, device)
        model.name_or_path = content["model_id"]
    model.config.name_or_path = content["model_id"]
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        tokenizer_files=files,
        model_id=content["model_id"],
        model_name=content["model_name"],
        max_length=min(settings["max_length"], position_limit(config) or settings["max_length"]),
        normalization=normalization,
        commit=content.get("commit"),
        metadata=content.get("metadata", {}) if content.get("format") == FORMAT else {},
        temperature=settings.get("temperature", 1.0),
    )
