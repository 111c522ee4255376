"""Store a pruned matrix without its zeros."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By bytes per element: values are compared as integers, so that only positive zeros are left out and NaN stays."""


def pack(tensor: Tensor) -> dict[str, Any] | None:
    """Return ``tensor`` without its zeros, or None if it is a vector or if that takes no fewer bytes.

    Only matrices are pruned. An unpruned model has all its tensors in one place, where other tools look for them.
    A negative zero counts as a value.
    """
    if tensor.ndim < 2:
        return None
    bits = tensor.flatten().view(_BITS[tensor.element_size()])
    nonzero = bits != 0
    size = int(nonzero.sum()) * tensor.element_size() + math.ceil(len(bits) / 8)
    if size >= tensor.nbytes:
        return None
    mask = torch.from_numpy(np.packbits(nonzero.numpy()))
    return {"mask": mask, "values": tensor.flatten()[nonzero], "shape": list(tensor.shape)}


def unpack(packed: dict[str, Any]) -> Tensor:
    """Return the matrix that :func:`pack` packed, bit for bit.

    Raises:
        ValueError: The mask is too small for the shape.
    """
    values, shape = packed["values"], packed["shape"]
    if not 0 <= math.prod(shape) <= 8 * packed["mask"].numel():
        raise ValueError(f"a mask of {packed['mask'].numel():,} bytes for {math.prod(shape):,} elements")
    tensor = torch.zeros(math.prod(shape), dtype=values.dtype)
    tensor[torch.from_numpy(np.unpackbits(packed["mask"].numpy(), count=len(tensor))).bool()] = values
    return tensor.view(shape)
