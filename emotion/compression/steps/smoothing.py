"""Spread the inputs of linear layers more evenly over their columns, so that INT8 with one scale for all loses less.

A few columns are many times as large as the others, and leave those few of the 256 steps. Each column is divided by a
factor that the weights are multiplied by: the function stays the same.

Source: Xiao et al. 2022, "SmoothQuant", arXiv:2211.10438, section 4, without the share of the weights, which have a
scale for each output.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from emotion.compression.steps.prune import linear_layers
from emotion.models import Predictor

STRENGTH = 0.8
"""Exponent of the columns' largest values: 0 leaves them as they are, 1 makes them equal."""
WIDEST = 100
"""No column is taken for less than the largest one's hundredth: other texts may use what these leave idle."""


@torch.no_grad()
def smooth_(predictor: Predictor, texts: Sequence[str]) -> None:
    """Even out the inputs of all linear layers but the head's.

    Args:
        predictor: In torch and FP32.
        texts: At least one, of the kind that the model is for.
    """
    for linear, largest in _largest_inputs(predictor, texts).items():
        floor = (largest.max() / WIDEST).clamp(min=torch.finfo(torch.float32).tiny)
        factors = largest.maximum(floor) ** STRENGTH
        linear.weight.mul_(factors)
        linear.register_forward_pre_hook(_multiply_by(1 / factors))


def _multiply_by(factors: Tensor) -> Any:
    def hook(_linear: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return inputs[0] * factors

    return hook


def _largest_inputs(predictor: Predictor, texts: Sequence[str]) -> dict[nn.Linear, Tensor]:
    """(inputs,) of each linear layer outside the head: the largest absolute value of each input column."""
    largest = {linear: torch.zeros(linear.in_features) for linear in linear_layers(predictor.torch_model)}

    def record(linear: nn.Linear, inputs: tuple[Tensor]) -> None:
        largest[linear] = largest[linear].maximum(inputs[0].abs().flatten(0, -2).amax(dim=0))

    handles = [linear.register_forward_pre_hook(record) for linear in largest]
    predictor.predict_proba(texts)
    for handle in handles:
        handle.remove()
    return largest
