"""Dropout whose random numbers take an eighth of the time on a CPU."""

import torch
from torch import Tensor, nn


class CpuDropout(nn.Dropout):
    """Dropout from 16 random bits an element, so its rate is exact to 1/65,536; on a GPU, and in other
    precisions, it is torch's own.

    torch draws a float an element, one after the other. The bits come from torch's generator as well, so that a seed
    repeats them.
    """

    def forward(self, input: Tensor) -> Tensor:
        is_float32 = input.device.type == "cpu" and input.dtype == torch.float32
        dropped = round(self.p * 2**16)
        if not (self.training and is_float32 and 0 < dropped < 2**16):
            return super().forward(input)
        words = torch.empty((input.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: input.numel()].view(input.shape)
        return input * (bits >= dropped - 2**15).to(input.dtype).mul_(2**16 / (2**16 - dropped))


def draw_dropout_faster_(model: nn.Module) -> None:
    """Let each dropout layer of ``model`` be a :class:`CpuDropout`."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = CpuDropout
