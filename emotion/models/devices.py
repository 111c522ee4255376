"""Which device a run gets, and a clear word when it is not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from emotion.errors import UserError
from emotion.training.config import TrainerConfig


def pick_device(accelerator: str, key: str = "accelerator") -> torch.device:
    """The device for ``auto``, ``cpu``, ``gpu`` (CUDA) or ``mps``; ``auto`` prefers a GPU.

    Raises:
        UserError: The device asked for is not on this machine.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS; must be set before CUDA starts
    available = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if accelerator == "auto":
        accelerator = next(name for name, there in available.items() if there)
    if not available[accelerator]:
        raise UserError(f"{key}: must be on this machine, found no {accelerator}; {key}=cpu works everywhere")
    return torch.device("cuda" if accelerator == "gpu" else accelerator)


def check_devices(config: TrainerConfig) -> None:
    """Refuse devices that this machine lacks, before anything is loaded.

    Raises:
        UserError: No such accelerator, or an index or count beyond what is there.
    """
    device = pick_device(config.accelerator, "trainer.accelerator")
    if device.type == "cpu":
        if isinstance(config.devices, list):
            raise UserError(
                f"trainer.devices: a list picks GPUs, found {config.devices} while training runs on the CPU"
            )
        if config.precision == "16-mixed":
            raise UserError("trainer.precision: 16-mixed needs a GPU, found cpu; bf16-mixed works on both")
        return
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    asked = config.devices if isinstance(config.devices, list) else []
    highest = max(asked, default=config.devices - 1 if isinstance(config.devices, int) else 0)
    if highest >= there:
        raise UserError(f"trainer.devices: must be among the {there} devices of this machine, found {config.devices}")


def process_count(config: TrainerConfig) -> int:
    """Processes that training will run in: one a device."""
    if isinstance(config.devices, list):
        return len(config.devices)
    if isinstance(config.devices, int):
        return config.devices
    return max(torch.cuda.device_count(), 1) if pick_device(config.accelerator).type == "cuda" else 1


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""In torch's errors: on a GPU, and on the CPU under Linux or Windows."""


@contextmanager
def batch_size_blamed(key: str, batch_size: int) -> Iterator[None]:
    """Within: memory that does not suffice is told as too large a batch, under its config key, in one line."""
    try:
        yield
    except RuntimeError as error:
        if any(words in str(error) for words in _OUT_OF_MEMORY):
            raise UserError(
                f"{key}: must fit into this machine's memory, found {batch_size}; try half of it"
            ) from error
        raise
