"""How a checkpoint holds its familiarity (:class:`emotion.models.Familiarity`), and how that is checked.

``limit``, and two matrices row by row, ``whitening`` and ``centres``: their float32 in little-endian bytes, as uint8.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PretrainedConfig

from emotion.errors import UserError, quoted
from emotion.models import Familiarity

LARGEST_LIMIT = 1e6
_NUMBER = np.dtype("<f4")


def familiarity_content(found: Familiarity | None) -> dict[str, Any]:
    """Return the entry of a checkpoint's content; nothing if there is no familiarity."""
    if found is None:
        return {}
    arrays = {"whitening": found.whitening, "centres": found.centres}
    matrices = {
        name: torch.frombuffer(bytearray(each.astype(_NUMBER).tobytes()), dtype=torch.uint8)
        for name, each in arrays.items()
    }
    return {"familiarity": {"limit": found.limit, **matrices}}


def restored_familiarity(content: dict[str, Any], config: PretrainedConfig, path: Path) -> Familiarity | None:
    """Return the familiarity that a checkpoint holds; None for those of earlier versions, or without one.

    Raises:
        UserError: It is of another model, or has numbers that are not finite.
    """
    entry = content.get("familiarity")
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise UserError(f"{path}: familiarity must be a mapping, found {quoted(entry)}")
    limit = entry.get("limit")
    if not isinstance(limit, int | float) or not 0 < limit <= LARGEST_LIMIT:
        raise UserError(f"{path}: familiarity.limit must be a number > 0, found {quoted(limit)}")
    whitening, centres = (_matrix(entry.get(name), name, config.hidden_size, path) for name in ("whitening", "centres"))
    if len(whitening) != config.hidden_size:
        raise UserError(f"{path}: familiarity.whitening must have {config.hidden_size} rows, found {len(whitening)}")
    return Familiarity(whitening, centres, float(limit))


def _matrix(value: Any, name: str, columns: int, path: Path) -> np.ndarray:
    key = f"{path}: familiarity.{name}"
    if not isinstance(value, Tensor) or value.dtype != torch.uint8 or value.dim() != 1:
        found = f"{tuple(value.shape)} in {value.dtype}" if isinstance(value, Tensor) else quoted(value)
        raise UserError(f"{key} must be bytes, found {found}")
    if not len(value) or len(value) % (columns * _NUMBER.itemsize):
        raise UserError(f"{key} must be rows of {columns} numbers, found {len(value)} bytes")
    matrix = np.frombuffer(value.numpy().tobytes(), dtype=_NUMBER).astype(np.float32).reshape(-1, columns)
    if not np.isfinite(matrix).all():
        raise UserError(f"{key} must be finite, found other numbers")
    return matrix
