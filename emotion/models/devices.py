"""Pick a run's device, and fail clearly if it is missing or its memory is too small."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from emotion.errors import UserError


def pick_device(accelerator: str, key: str = "accelerator") -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``gpu`` (CUDA) or ``mps``; ``auto`` prefers a GPU.

    Raises:
        UserError: The requested device is not on this machine.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS; must be set before CUDA starts
    available = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if accelerator == "auto":
        accelerator = next(name for name, there in available.items() if there)
    if not available[accelerator]:
        raise UserError(f"{key}: must be on this machine, found no {accelerator}; {key}=cpu works everywhere")
    return torch.device("cuda" if accelerator == "gpu" else accelerator)


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""Words in torch's errors: on a GPU, and on the CPU under Linux or Windows."""


@contextmanager
def batch_size_blamed(key: str, batch_size: int) -> Iterator[None]:
    """Turn out-of-memory errors into a one-line :class:`UserError` that names ``key``."""
    try:
        yield
    except RuntimeError as error:
        if any(words in str(error) for words in _OUT_OF_MEMORY):
            raise UserError(
                f"{key}: must fit into this machine's memory, found {batch_size}; try half of it"
            ) from error
        raise
