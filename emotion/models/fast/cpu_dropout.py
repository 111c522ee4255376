"""Draw dropout's random numbers in an eighth of the time on a CPU."""

import torch
from torch import Tensor, nn

from emotion.errors import first_line
from emotion.models.fast.guard import stays_plain


class CpuDropout(nn.Dropout):
    """Dropout from 16 random bits per element, so its rate is exact to 1/65,536.

    On a GPU, and in other precisions, it is torch's own, which draws a float per element, one after the other. The bits
    come from torch's generator as well, so that a seed repeats them.
    """

    def forward(self, input: Tensor) -> Tensor:
        is_float32 = input.device.type == "cpu" and input.dtype == torch.float32
        dropped = round(self.p * 2**16)
        if not (self.training and is_float32 and 0 < dropped < 2**16):
            return super().forward(input)
        bits = _random_bits(input.numel()).view(input.shape)
        return input * (bits >= dropped - 2**15).to(input.dtype).mul_(2**16 / (2**16 - dropped))


def _random_bits(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw (count,), int16, each value as likely as any other."""
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[:count]


def available() -> bool:
    """Return whether torch fills 64-bit integers with random bits, and :class:`torch.nn.Dropout` has a rate ``p``."""
    try:
        bits = _random_bits(4096, torch.Generator().manual_seed(0)).double() / 2**15
        rate = nn.Dropout(0.25).p
    except Exception as error:  # such as for an argument that torch no longer takes
        stays_plain("dropout", f"torch draws no 64-bit integers ({first_line(error)})")
        return False
    uniform = abs(float(bits.mean())) < 0.05 and abs(float(bits.var()) - 1 / 3) < 0.05  # of numbers in [-1, 1)
    if rate != 0.25 or not uniform:
        stays_plain("dropout", "torch draws other 64-bit integers than expected")
        return False
    return True


def draw_dropout_faster_(model: nn.Module) -> None:
    """Turn each dropout layer of ``model`` into a :class:`CpuDropout`, if that is :func:`available`."""
    plain = [module for module in model.modules() if type(module) is nn.Dropout]
    if plain and available():
        for module in plain:
            module.__class__ = CpuDropout
