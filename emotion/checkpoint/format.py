"""The file format of checkpoints: what a ``.pt`` holds, and how it is checked.

``torch.load(path, weights_only=True)`` gives plain containers and tensors::

    format             "emotion-checkpoint"
    schema_version     2
    model_state_dict   tensors under the plain Hugging Face keys, in FP32 unless the backbone's config says otherwise
    sparse_state_dict  further tensors, pruned ones, without their zeros: mask, (ceil(elements / 8),) uint8, a bit for
                       each element, highest bit first; values, (nonzero,), in order; shape
    model_id           hub id or folder of the backbone
    model_name         e.g. "ModernBERT"
    config             max_length, num_labels, labels, normalization; temperature, 1 unless given
    backbone_config    the Hugging Face config
    commit             the backbone's commit on the hub, or None
    tokenizer          file name -> its bytes, (bytes,) uint8
    familiarity        how far texts are from those of validation, or absent (:mod:`emotion.checkpoint.familiarity`)
    metadata           metrics, data, versions, ... of the training run, and a compressed file's own settings

An ``.onnx`` file (:mod:`emotion.checkpoint.onnx_format`) has an ONNX model, ``onnx_model``, in place of the tensors.
"""

import pickle
import re
import zipfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotion.checkpoint import onnx_format
from emotion.checkpoint.sparse import pack, unpack
from emotion.errors import UserError, first_line, quoted
from emotion.evaluation import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from emotion.labels import LONGEST_NAME
from emotion.models import NAME_PATTERN, NAME_RULE, NORMALIZATIONS, require_packages

FORMAT = "emotion-checkpoint"
SCHEMA_VERSION = 2

MOST_VALUES = 1_000_000
"""Plain values and tensors of a checkpoint; ours have some thousands, most of them in the training's history."""
LONGEST_PATH = 4_096
"""Characters of a path on Linux."""


def write(content: dict[str, Any], path: Path) -> None:
    """Save ``content`` under this format's name and version; nested values become plain ones.

    The file is an ``.onnx`` if ``content`` has ``onnx_model``, an ONNX model's bytes, else a ``.pt``.
    """
    header = {"format": FORMAT, "schema_version": SCHEMA_VERSION}
    plain = _plain({name: value for name, value in content.items() if name != "onnx_model"})
    if "onnx_model" in content:
        onnx_format.write({**header, **plain}, content["onnx_model"], path)
        return
    packed = {name: pack(tensor) for name, tensor in plain["model_state_dict"].items()}
    sparse = {name: each for name, each in packed.items() if each is not None}
    dense = {name: tensor for name, tensor in plain["model_state_dict"].items() if name not in sparse}
    states = {"model_state_dict": dense, "sparse_state_dict": sparse}
    save_tensors({**header, **plain, **states}, path)


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """Save plain containers and tensors with torch.

    Raises:
        OSError: The file cannot be written, such as on a full disk, where torch by itself raises RuntimeError.
    """
    with path.open("wb") as file:  # given a path, torch would write the file's name into it
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint file and check its content; tensors stay on disk until used.

    Raises:
        UserError: The file is missing or truncated, contains code, has a newer schema, or lacks what all tools write.
    """
    if not path.is_file():
        raise UserError(
            f"weights: must be a checkpoint file, found {'a folder' if path.is_dir() else 'no file'} at {path}"
        )
    try:
        content = _read_onnx(path) if path.suffix == ".onnx" else _read_pt(path)
        return _checked(content, "onnx_model" if path.suffix == ".onnx" else "model_state_dict", path)
    except UserError:
        raise
    except Exception as error:  # values of foreign kinds, or nested too deeply
        raise UserError(f"{path}: must be a checkpoint, found {first_line(error)}") from error


def _checked(content: Any, model: str, path: Path) -> dict[str, Any]:
    """Return ``content`` if each of its parts is there, and is of a kind that all that reads it can use."""
    required = (model, "model_id", "model_name", "config")
    missing = [key for key in required if not isinstance(content, dict) or key not in content]
    if missing:
        raise UserError(f"{path}: must be a checkpoint with {', '.join(required)}, found none of {', '.join(missing)}")
    _refuse_larger_than_file(content, path)
    version = content.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise UserError(
            f"{path}: must have schema version <= {SCHEMA_VERSION}, found {quoted(version)}; update this program"
        )
    name, model_id = content["model_name"], content["model_id"]
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not re.fullmatch(NAME_PATTERN, name):
        raise UserError(f"{path}: model_name must be {NAME_RULE}, found {quoted(name)}")
    if not isinstance(model_id, str) or len(model_id) > LONGEST_PATH or not model_id.isprintable():
        raise UserError(f"{path}: model_id must be a hub id or a folder, found {quoted(model_id)}")
    settings = content["config"] if isinstance(content["config"], dict) else {}
    max_length, normalization = settings.get("max_length"), settings.get("normalization", "none")
    if not isinstance(max_length, int) or max_length < 1:
        raise UserError(f"{path}: config.max_length must be a number of tokens, found {quoted(max_length)}")
    if normalization not in NORMALIZATIONS:
        rule = f"must be one of {', '.join(NORMALIZATIONS)}"
        raise UserError(f"{path}: config.normalization {rule}, found {quoted(normalization)}")
    temperature = settings.get("temperature", 1.0)
    if not isinstance(temperature, int | float) or not LOWEST_TEMPERATURE <= temperature <= HIGHEST_TEMPERATURE:
        rule = f"must be a number from {LOWEST_TEMPERATURE:g} to {HIGHEST_TEMPERATURE:g}"
        raise UserError(f"{path}: config.temperature {rule}, found {quoted(temperature)}")
    checked: dict[str, Any] = content
    return checked


def require_intact(path: Path) -> None:
    """Compare every byte that counts with the checksums that the file was written with: a CRC-32, or SHA-256.

    They guard against accidents, not against forgery.

    Raises:
        UserError: A byte has changed since the file was written.
    """
    if path.suffix == ".onnx":
        onnx_format.require_intact(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{path}: must be a whole .pt checkpoint, found {first_line(error)}") from error
    if damaged is not None:
        raise UserError(f"{path}: must be as it was written, found that {damaged} in it was damaged; copy it again")


def _refuse_larger_than_file(content: dict[str, Any], path: Path) -> None:
    """Refuse tensors that claim more elements than their storage has, such as one number repeated a billion times."""
    for tensor in _tensors(content, count()):
        if tensor.device.type != "cpu" or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise UserError(
                f"{path}: must hold tensors with all their elements, found one of shape {tuple(tensor.shape)} without"
            )


def _tensors(value: Any, visits: Iterator[int]) -> Iterator[Tensor]:
    """Yield all tensors; a few lists that hold each other twice could make a tree without end."""
    if next(visits) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each, visits)


def _read_pt(path: Path) -> Any:
    try:
        _refuse_odd_zip(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: must hold tensors and plain values only, found code or other objects; refused"
        ) from error
    except UserError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise UserError(f"{path}: must be a whole .pt checkpoint, found a truncated or foreign file") from error


def _refuse_odd_zip(path: Path) -> None:
    """Refuse a zip that inflates, or has two members of one name: torch writes neither."""
    if not zipfile.is_zipfile(path):
        return  # torch says what is wrong with it
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise UserError(f"{path}: must hold tensors as they are, found compressed ones; refused")
    if len({member.filename for member in members}) < len(members):
        raise UserError(f"{path}: must hold each part once, found one twice; refused")


def _read_onnx(path: Path) -> Any:
    content, model = onnx_format.read(path)
    return {**content, "onnx_model": model} if isinstance(content, dict) else content


def state_dict(content: dict[str, Any]) -> dict[str, Tensor]:
    """Return all tensors of a checkpoint's content, with the zeros of pruned ones restored, bit for bit."""
    sparse = content.get("sparse_state_dict", {})
    return {**content["model_state_dict"], **{name: unpack(packed) for name, packed in sparse.items()}}


def is_checkpoint(path: Path) -> bool:
    """Return whether this program wrote the file (an earlier tool's loads too, but is not ours to replace).

    Raises:
        UserError: The file is an ``.onnx``, and the package to read it is missing.
    """
    if path.suffix == ".onnx" and path.is_file():
        require_packages("onnx")
    try:
        return read(path).get("format") == FORMAT
    except UserError:
        return False


def match_keys(state_dict: dict[str, Tensor], expected: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Rename ``state_dict``'s entries to the expected names, without the prefixes of wrappers."""
    closest: set[str] = set(expected)
    for prefix in ("", "module.", "model.", "module.model.", "model.module."):
        renamed = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        missing = expected.keys() - renamed.keys()
        if not missing:
            return {name: renamed[name] for name in expected}
        closest = min(closest, missing, key=len)
    raise UserError(
        f"{path}: model_state_dict must hold {len(expected)} tensors, found none named {sorted(closest)[0]}"
    )


def to_tensor(data: bytes) -> Tensor:
    """Return a file's bytes as (bytes,) uint8."""
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _plain(value: Any) -> Any:
    """Reduce ``value`` to containers, scalars and contiguous CPU tensors, so that it loads without running code."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor):
        return value.detach().cpu().contiguous()
    if isinstance(value, str):
        return str.__str__(value)  # for a string enum, its value
    return value if isinstance(value, int | float | bool | None) else str(value)
