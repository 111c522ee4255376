"""A checkpoint as one ``.onnx`` file, which any ONNX runtime runs too.

The ONNX model's ``metadata_props`` has an entry whose key is :data:`KEY` and whose value is JSON: all that a ``.pt`` of
:mod:`emotion.checkpoint.format` holds except its weights. A file is encoded as ``{"zlib_base64": ...}``.
A further entry, :data:`SEAL`, at the very end of the file, is the SHA-256 of all bytes before it.
"""

import json
import zlib
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotion.checkpoint.onnx_graph import require_classifier
from emotion.errors import UserError
from emotion.models import require_packages

KEY, SEAL = "emotion_checkpoint", "emotion_sha256"
LARGEST_FILES = 256_000_000
"""Bytes of all files together, once inflated; the largest tokenizers have a tenth of it."""


def write(content: dict[str, Any], model: bytes, path: Path) -> None:
    """Save an ONNX model with ``content`` in it: plain values and (bytes,) uint8 tensors, nested to any depth."""
    (onnx,) = require_packages("onnx")
    message = onnx.load_model_from_string(model)
    require_classifier(message, len(model), path)  # what cannot be read must not be written
    message.metadata_props.add(key=KEY, value=json.dumps(content, default=_encode))
    body = message.SerializeToString(deterministic=True)
    path.write_bytes(body + _seal(body))


def read(path: Path) -> tuple[Any, bytes]:
    """Return the content and the ONNX model that :func:`write` was given; neither is checked yet.

    Raises:
        UserError: The file is truncated, is not ONNX, or was not written by this program; or the package onnx is
            missing.
    """
    onnx, protobuf = require_packages("onnx", "google.protobuf.message")
    try:
        data = path.read_bytes()
        message = onnx.load_model_from_string(data)
        entries = [entry for entry in message.metadata_props if entry.key in (KEY, SEAL)]
        values = [entry.value for entry in entries if entry.key == KEY]
        content = json.loads(values[0], object_hook=_Inflater(path)) if values else None
    except UserError:
        raise
    except (protobuf.DecodeError, ValueError, TypeError, RecursionError, zlib.error) as error:
        raise UserError(f"{path}: must be a whole .onnx checkpoint, found a truncated or foreign file") from error
    if content is None:
        raise UserError(f"{path}: must be an .onnx checkpoint of this program, found no {KEY} in its metadata")
    require_classifier(message, len(data), path)
    for entry in entries:
        message.metadata_props.remove(entry)
    return content, message.SerializeToString(deterministic=True)


def require_intact(path: Path) -> None:
    """Compare a file with the digest at its end; files of earlier versions have none.

    Raises:
        UserError: A byte has changed since the file was written.
    """
    data = path.read_bytes()
    length = len(_seal(b""))
    body, seal = data[:-length], data[-length:]
    if SEAL.encode() in seal and seal != _seal(body):
        raise UserError(f"{path}: must be as it was written, found that it was damaged; copy it again")


def _seal(body: bytes) -> bytes:
    """Return a message that, appended to an ONNX model, adds the digest of ``body`` to its metadata."""
    (onnx,) = require_packages("onnx")
    message = onnx.ModelProto()
    message.metadata_props.add(key=SEAL, value=sha256(body).hexdigest())
    serialized: bytes = message.SerializeToString(deterministic=True)
    return serialized


def _encode(file: Tensor) -> dict[str, str]:
    return {"zlib_base64": b64encode(zlib.compress(file.numpy().tobytes(), 9)).decode()}


class _Inflater:
    """Decodes the files in JSON, up to :data:`LARGEST_FILES` in total."""

    def __init__(self, path: Path) -> None:
        self.path, self.left = path, LARGEST_FILES

    def __call__(self, value: dict[str, Any]) -> Any:
        if value.keys() != {"zlib_base64"}:
            return value
        inflater = zlib.decompressobj()
        data = inflater.decompress(b64decode(value["zlib_base64"], validate=True), self.left)
        self.left -= len(data)
        if inflater.unconsumed_tail or not self.left:
            raise UserError(f"{self.path}: must hold files of at most {LARGEST_FILES:,} bytes in total, found more")
        if not inflater.eof:
            raise zlib.error("truncated")
        return torch.frombuffer(bytearray(data), dtype=torch.uint8)
