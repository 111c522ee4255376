"""A checkpoint as one ``.onnx`` file, which any ONNX runtime runs too.

The ONNX model's ``metadata_props`` has an entry whose key is :data:`KEY` and whose value is JSON: all that a ``.pt`` of
:mod:`emotion.checkpoint.format` holds except its weights. A file is encoded as ``{"zlib_base64": ...}``.
"""

import json
import zlib
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotion.errors import UserError
from emotion.models import require_packages

KEY = "emotion_checkpoint"


def write(content: dict[str, Any], model: bytes, path: Path) -> None:
    """Save an ONNX model with ``content`` in it: plain values and (bytes,) uint8 tensors, nested to any depth."""
    (onnx,) = require_packages("onnx")
    message = onnx.load_model_from_string(model)
    message.metadata_props.add(key=KEY, value=json.dumps(content, default=_encode))
    path.write_bytes(message.SerializeToString(deterministic=True))


def read(path: Path) -> tuple[Any, bytes]:
    """Return the content and the ONNX model that :func:`write` was given; neither is checked yet.

    Raises:
        UserError: The file is truncated, is not ONNX, or was not written by this program; or the package onnx is
            missing.
    """
    onnx, protobuf = require_packages("onnx", "google.protobuf.message")
    try:
        message = onnx.load_model_from_string(path.read_bytes())
        entries = [entry for entry in message.metadata_props if entry.key == KEY]
        content = json.loads(entries[0].value, object_hook=_decode) if entries else None
    except (protobuf.DecodeError, ValueError, RecursionError, zlib.error) as error:
        raise UserError(f"{path}: must be a whole .onnx checkpoint, found a truncated or foreign file") from error
    if content is None:
        raise UserError(f"{path}: must be an .onnx checkpoint of this program, found no {KEY} in its metadata")
    for entry in entries:
        message.metadata_props.remove(entry)
    return content, message.SerializeToString(deterministic=True)


def _encode(file: Tensor) -> dict[str, str]:
    return {"zlib_base64": b64encode(zlib.compress(file.numpy().tobytes(), 9)).decode()}


def _decode(value: dict[str, Any]) -> Any:
    if value.keys() != {"zlib_base64"}:
        return value
    return torch.frombuffer(bytearray(zlib.decompress(b64decode(value["zlib_base64"]))), dtype=torch.uint8)
