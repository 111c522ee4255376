"""Refuse devices that this machine lacks before any work, and say so if a process of a run ends early."""

import os
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
        UserError: There is no such accelerator, an index or count is beyond what is there, a list of GPUs or
            ``16-mixed`` is asked for on a CPU, or torchrun or Slurm has not started as many processes.
    """
    _check_launcher(config)
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


def _check_launcher(config: TrainerConfig) -> None:
    """Refuse a number of processes that differs from what torchrun or Slurm has started."""
    asked = process_count(config)
    if config.num_nodes > 1 and not _has_launcher():
        raise UserError(
            "trainer.num_nodes: must be 1 unless torchrun or Slurm starts the command on each machine, found"
            f" {config.num_nodes}"
        )
    started = os.environ.get("SLURM_NTASKS" if SLURMEnvironment.detect() else "WORLD_SIZE", "")
    if asked > 1 and _has_launcher() and started.isdigit() and int(started) != asked:
        raise UserError(
            f"trainer.devices, trainer.num_nodes: must make the {started} processes that were started, found"
            f" {asked // config.num_nodes} on each of {config.num_nodes}"
        )


def _has_launcher() -> bool:
    """Return whether another program, such as torchrun or Slurm, starts all processes of a run."""
    return LightningEnvironment().creates_processes_externally or SLURMEnvironment.detect()


def process_count(config: TrainerConfig) -> int:
    """Return the number of processes that training will run in: one per device, on all machines together."""
    if isinstance(config.devices, list):
        own = len(config.devices)
    elif isinstance(config.devices, int):
        own = config.devices
    else:
        own = max(torch.cuda.device_count(), 1) if pick_device(config.accelerator).type == "cuda" else 1
    return own * config.num_nodes


def starts_all_processes(config: TrainerConfig) -> bool:
    """Return whether this process is a run's only one, or starts the others itself; torchrun and Slurm start all."""
    starts_others = rank_zero_only.rank == 0 and not _has_launcher()  # type: ignore[attr-defined]
    return process_count(config) == 1 or starts_others


@contextmanager
def processes_blamed(config: TrainerConfig) -> Iterator[None]:
    """Turn the errors of a run whose other processes have ended into a one-line :class:`UserError`."""
    try:
        yield
    except RuntimeError as error:
        if process_count(config) > 1 and (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            again = "with trainer.ckpt_path=.../checkpoints/last.ckpt" if _has_launcher() else "started again"
            raise UserError(
                f"trainer.devices: all {process_count(config)} processes must go on, found that another one has ended;"
                f" the same command, {again}, goes on with the run"
            ) from error
        raise
