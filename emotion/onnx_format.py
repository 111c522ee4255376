"""A checkpoint as one ``.onnx`` file, which any ONNX runtime runs too.

The ONNX model's ``metadata_props`` has an entry whose key is :data:`KEY` and whose value is JSON: all that a ``.pt`` of
:mod:`emotion.checkpoint_format` holds but its tensors of weights. A file is ``{"zlib_base64": ...}``.

An ONNX file is one protobuf message, and those are read and extended here field by field: it takes neither the package
``onnx`` nor a look at the weights. Source: protobuf.dev/programming-guides/encoding; onnx.proto3, ``ModelProto``.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotion.errors import UserError

KEY = "emotion_checkpoint"

_METADATA_PROPS = 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def write(content: dict[str, Any], model: bytes, path: Path) -> None:
    """Save an ONNX model and, in it, ``content``: plain values and (bytes,) uint8 tensors, nested at will."""
    text = json.dumps(content, default=_encode)
    entry = _field(_ENTRY_KEY, KEY.encode()) + _field(_ENTRY_VALUE, text.encode())
    with path.open("wb") as file:
        file.write(model)
        file.write(_field(_METADATA_PROPS, entry))


def read(path: Path) -> tuple[Any, bytes]:
    """The content and the ONNX model that :func:`write` was given. Nothing is known of either yet.

    Raises:
        UserError: Truncated, no ONNX file, or not written by this program.
    """
    data = memoryview(path.read_bytes())
    try:
        model, text = _split(data)
        content = None if text is None else json.loads(text, object_hook=_decode)
    except (ValueError, RecursionError, zlib.error) as error:
        raise UserError(f"{path}: must be a whole .onnx checkpoint, found a truncated or foreign file") from error
    if content is None:
        raise UserError(f"{path}: must be an .onnx checkpoint of this program, found no {KEY} in its metadata")
    return content, model


def _split(data: memoryview) -> tuple[bytes, str | None]:
    """The ONNX model without our entry, and the entry's value; None where it has none."""
    model, text = [], None
    for number, field, payload in _fields(data):
        entry = _entry(payload) if number == _METADATA_PROPS else {}
        if entry.get(_ENTRY_KEY) == KEY.encode():
            text = entry[_ENTRY_VALUE].decode()
        else:
            model.append(field)
    return b"".join(model), text


def _entry(payload: memoryview) -> dict[int, bytes]:
    return {_ENTRY_VALUE: b"", **{number: bytes(value) for number, _, value in _fields(payload)}}


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Of each field of a message its number, all of its bytes, and those of its value. Raises :class:`ValueError`."""
    start = 0
    while start < len(data):
        tag, value = _varint(data, start)
        match tag & 7:
            case 0:
                end = _varint(data, value)[1]
            case 1:
                end = value + 8
            case 2:  # strings and messages
                length, value = _varint(data, value)
                end = value + length
            case 5:
                end = value + 4
            case other:
                raise ValueError(f"no wire type {other}")
        if end > len(data):
            raise ValueError("truncated")
        yield tag >> 3, data[start:end], data[value:end]
        start = end


def _varint(data: memoryview, start: int) -> tuple[int, int]:
    """A number, seven bits a byte, the lowest first, and where it ends; a byte's highest bit says that more follow."""
    number = 0
    for index, byte in enumerate(data[start : start + 10]):
        number |= (byte & 127) << 7 * index
        if byte < 128:
            return number, start + index + 1
    raise ValueError("truncated")


def _field(number: int, value: bytes) -> bytes:
    return _to_varint(number << 3 | 2) + _to_varint(len(value)) + value


def _to_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def _encode(file: Tensor) -> dict[str, str]:
    return {"zlib_base64": b64encode(zlib.compress(file.numpy().tobytes(), 9)).decode()}


def _decode(value: dict[str, Any]) -> Any:
    if value.keys() != {"zlib_base64"}:
        return value
    return torch.frombuffer(bytearray(zlib.decompress(b64decode(value["zlib_base64"]))), dtype=torch.uint8)
