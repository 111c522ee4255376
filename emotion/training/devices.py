"""Refuse devices that this machine lacks before any work, and say so if a process of a run ends early."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only

from emotion.errors import UserError
from emotion.models import pick_device
from emotion.training.config import TrainerConfig


def check_devices(config: TrainerConfig) -> None:
    """Refuse devices that this machine lacks, before anything is loaded.

    Raises:
        UserError: There is no such accelerator, an index or count is beyond what is there, or a list of GPUs or
            ``16-mixed`` is asked for on a CPU.
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
    """Return the number of processes that training will run in: one per device."""
    if isinstance(config.devices, list):
        return len(config.devices)
    if isinstance(config.devices, int):
        return config.devices
    return max(torch.cuda.device_count(), 1) if pick_device(config.accelerator).type == "cuda" else 1


def starts_all_processes(config: TrainerConfig) -> bool:
    """Return whether this process is a run's only one, or starts the others itself; torchrun and Slurm start all."""
    starts_others = not (LightningEnvironment().creates_processes_externally or SLURMEnvironment.detect())
    return process_count(config) == 1 or (rank_zero_only.rank == 0 and starts_others)  # type: ignore[attr-defined]


@contextmanager
def processes_blamed(config: TrainerConfig) -> Iterator[None]:
    """Turn the errors of a run whose other processes have ended into a one-line :class:`UserError`."""
    try:
        yield
    except RuntimeError as error:
        if process_count(config) > 1 and (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            raise UserError(
                f"trainer.devices: all {process_count(config)} processes must go on, found that another one has ended;"
                " the same command, started again, goes on with the run"
            ) from error
        raise
