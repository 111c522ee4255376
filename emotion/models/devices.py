"""Pick a run's device and threads, and fail clearly if a device is missing or its memory is too small."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from emotion.cores import allowed_cores
from emotion.errors import UserError


def pick_device(accelerator: str, key: str = "accelerator") -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``gpu`` (CUDA) or ``mps``; ``auto`` prefers a GPU.

    torch, and what asks it for its threads, gets no more of them than a container may use cores: they would wait for
    each other. The environment variable ``OMP_NUM_THREADS`` overrules that.

    Raises:
        UserError: The requested device is not on this machine.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS; must be set before CUDA starts
    available = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if accelerator == "auto":
        accelerator = next(name for name, there in available.items() if there)
    if not available[accelerator]:
        raise UserError(f"{key}: must be on this machine, found no {accelerator}; {key}=cpu works everywhere")
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > (cores := allowed_cores()):
        torch.set_num_threads(cores)
    return torch.device("cuda" if accelerator == "gpu" else accelerator)


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate", "bad allocation")
"""Words in the errors of torch, on a GPU and on the CPU under Linux or Windows, and of ONNX Runtime."""


@contextmanager
def batch_size_blamed(key: str, batch_size: int) -> Iterator[None]:
    """Turn out-of-memory errors into a one-line :class:`UserError` that names ``key`` and a value to try."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY):
            advice = f"try {key}={batch_size // 2}" if batch_size > 1 else "try a smaller model or a shorter max_length"
            raise UserError(f"{key}: must fit into this machine's memory, found {batch_size}; {advice}") from error
        raise
