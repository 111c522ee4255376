"""Refuse the devices of a training run that this machine lacks, before any work."""

import torch

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
