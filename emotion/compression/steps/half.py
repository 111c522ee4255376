"""Cast to half precision: 16 bits per weight, and faster where the hardware multiplies them natively."""

import torch
from transformers import PreTrainedModel

from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import HalfConfig
from emotion.models import Predictor, head_state, keep_head_in_fp32


def half_(model: PreTrainedModel, config: HalfConfig) -> None:
    """Cast all but the classification head to ``config.dtype``."""
    head = head_state(model)
    dtype: torch.dtype = getattr(torch, config.dtype)
    for name, parameter in model.named_parameters():  # not the buffers: rotary frequencies stay exact, as when loaded
        if name not in head:
            parameter.data = parameter.data.to(dtype)
    model.config.dtype = dtype
    keep_head_in_fp32(model, head)


def apply(model: Predictor, settings: HalfConfig, _context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    half_(model.torch_model, settings)
    return model
