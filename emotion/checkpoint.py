"""The portable checkpoint: one ``.pt`` that predicts with no network, no cache and no other file.

``torch.load(path, weights_only=True)`` gives plain containers and tensors::

    format             "emotion-checkpoint"
    schema_version     1
    model_state_dict   FP32 tensors under the plain Hugging Face keys
    model_id           hub id or folder of the backbone
    model_name         e.g. "ModernBERT"
    config             max_length, num_labels, labels, normalization
    backbone_config    the Hugging Face config
    commit             the backbone's commit on the hub, or None
    tokenizer          file name -> its bytes, (bytes,) uint8
    metadata           metrics, data, versions, ... of the run that wrote it
"""

import copy
import logging
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from emotion.artifacts import atomic
from emotion.backbone import find_backbone, label_names, load_tokenizer, quiet_transformers
from emotion.batching import LengthBucketBatchSampler
from emotion.config import ModelConfig, model_choices
from emotion.csv_files import CHUNK_ROWS
from emotion.errors import UserError
from emotion.labels import EMOTIONS
from emotion.text import TextEncoder

log = logging.getLogger(__name__)

FORMAT = "emotion-checkpoint"
SCHEMA_VERSION = 1
BATCH_SIZE = 32


@dataclass(slots=True)
class Checkpoint:
    """A fine-tuned classifier with everything that prediction needs."""

    model: PreTrainedModel
    """In eval mode."""
    tokenizer: PreTrainedTokenizerBase
    tokenizer_files: dict[str, bytes]
    model_id: str
    model_name: str
    max_length: int
    normalization: str
    commit: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

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
        Equal texts of a chunk are computed once.

        Args:
            texts: Any strings, empty ones included.
            batch_size: Texts a forward pass, >= 1.
            advance: Told how many texts were done, after each batch.
        """
        probabilities = torch.empty(len(texts), len(EMOTIONS))
        encoder = TextEncoder(self.tokenizer, self.normalization, self.max_length)
        for start in range(0, len(texts), CHUNK_ROWS):
            chunk = texts[start : start + CHUNK_ROWS]
            place = {text: index for index, text in enumerate(dict.fromkeys(chunk))}
            copies = np.bincount([place[text] for text in chunk])
            rows = encoder.encode(list(place))
            unique = torch.empty(len(rows), len(EMOTIONS))
            for batch in LengthBucketBatchSampler(np.array([len(row) for row in rows]), batch_size, shuffle=False):
                inputs = {name: ids.to(self.model.device) for name, ids in encoder.pad([rows[i] for i in batch]).items()}
                unique[batch] = self.model(**inputs).logits.float().softmax(dim=-1).cpu()
                if advance is not None:
                    advance(int(copies[batch].sum()))
            probabilities[start : start + len(chunk)] = unique[[place[text] for text in chunk]]
        return probabilities

    def save(self, path: Path) -> None:
        """Write the file described in this module's docstring, atomically."""
        content = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "model_state_dict": {name: value.cpu().contiguous() for name, value in self.model.state_dict().items()},
            "model_id": self.model_id,
            "model_name": self.model_name,
            "config": {
                "max_length": self.max_length,
                "num_labels": len(EMOTIONS),
                "labels": list(EMOTIONS),
                "normalization": self.normalization,
            },
            "backbone_config": _plain(self.model.config.to_dict()) | {"_name_or_path": self.model_id},
            "commit": self.commit,
            "tokenizer": {name: _to_tensor(data) for name, data in self.tokenizer_files.items()},
            "metadata": self.metadata,
        }
        with atomic(path) as temporary:
            torch.save(content, temporary)


def load(path: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint, ours or an earlier tool's with just ``model_state_dict``, ``model_id``, ``model_name`` and
    ``config``; for the latter the backbone's config and tokenizer are looked up by ``model_id``.

    Raises:
        UserError: No such file, truncated, with code in it, of a newer schema, or not for the six emotions.
    """
    path = Path(path)
    content = read(path)
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
        config, files = _from_backbone(content["model_id"])
        log.warning(
            "%s was written by an earlier tool without a tokenizer: using %s's, with no text normalisation",
            path,
            content["model_id"],
        )
    normalization = settings.get("normalization", "none")
    model = _build(config, content["model_state_dict"], path)
    model.config.name_or_path = model.name_or_path = content["model_id"]
    return Checkpoint(
        model=model.to(device).eval(),  # type: ignore[arg-type]
        tokenizer=build_tokenizer(files, config, normalization),
        tokenizer_files=files,
        model_id=content["model_id"],
        model_name=content["model_name"],
        max_length=settings["max_length"],
        normalization=normalization,
        commit=content.get("commit"),
        metadata=content.get("metadata", {}),
    )


def read(path: Path) -> dict[str, Any]:
    """The checked content of a checkpoint file; tensors stay on disk until used.

    Raises:
        UserError: As :func:`load`, but for the labels.
    """
    if not path.is_file():
        raise UserError(f"weights: must be a checkpoint file, found {'a folder' if path.is_dir() else 'no file'} at {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: must hold tensors and plain values only, found code or other objects; refused") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{path}: must be a whole .pt checkpoint, found a truncated or foreign file") from error
    required = ("model_state_dict", "model_id", "model_name", "config")
    missing = [key for key in required if not isinstance(content, dict) or key not in content]
    if missing:
        raise UserError(f"{path}: must be a checkpoint with {', '.join(required)}, found none of {', '.join(missing)}")
    version = content.get("schema_version", SCHEMA_VERSION)
    if version > SCHEMA_VERSION:
        raise UserError(f"{path}: must have schema version <= {SCHEMA_VERSION}, found {version}; update this program")
    max_length = content["config"].get("max_length")
    if not isinstance(max_length, int) or max_length < 1:
        raise UserError(f"{path}: config.max_length must be a number of tokens, found {max_length!r}")
    return content


def is_checkpoint(path: Path) -> bool:
    """Whether :func:`read` accepts the file."""
    try:
        read(path)
    except UserError:
        return False
    return True


def build_tokenizer(files: dict[str, bytes], config: PretrainedConfig, normalization: str) -> PreTrainedTokenizerBase:
    """A tokenizer from its original files alone; the backbone's config tells its class."""
    with TemporaryDirectory() as folder, quiet_transformers():
        for name, data in files.items():
            (Path(folder) / Path(name).name).write_bytes(data)
        config.save_pretrained(folder)
        return load_tokenizer(Path(folder), normalization)


def _from_backbone(model_id: str) -> tuple[PretrainedConfig, dict[str, bytes]]:
    known = {model.backbone: model for model in model_choices().values()}
    model = known.get(model_id) or ModelConfig(
        name="unknown", backbone=model_id, revision="main", normalization="none", learning_rate=1.0
    )
    backbone = find_backbone(model, need_weights=False)
    return AutoConfig.from_pretrained(backbone.folder, **label_names()), backbone.tokenizer_files()


def _build(config: PretrainedConfig, state_dict: dict[str, Tensor], path: Path) -> PreTrainedModel:
    """The model of ``config`` holding ``state_dict``, in FP32, without a random initialisation on the way."""
    with torch.device("meta"):
        skeleton = AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa")
    expected = {name: value.shape for name, value in skeleton.state_dict().items()}
    weights = _match_keys(state_dict, expected, path)
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise UserError(f"{path}: {name} must have shape {tuple(shape)}, found {tuple(weights[name].shape)}")
    with quiet_transformers():
        model: PreTrainedModel = type(skeleton).from_pretrained(
            None, config=config, state_dict=weights, dtype=torch.float32, attn_implementation="sdpa"
        )
    return model


def _match_keys(state_dict: dict[str, Tensor], expected: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """``state_dict`` under the expected names, whatever wrapper it was saved from."""
    closest: set[str] = set(expected)
    for prefix in ("", "module.", "model.", "module.model.", "model.module."):
        renamed = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        missing = expected.keys() - renamed.keys()
        if not missing:
            return {name: renamed[name] for name in expected}
        closest = min(closest, missing, key=len)
    raise UserError(f"{path}: model_state_dict must hold {len(expected)} tensors, found none named {sorted(closest)[0]}")


def _to_tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _plain(value: Any) -> Any:
    """``value`` with containers and scalars only, so that it loads without running code."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
