"""Quantise to INT8 with bitsandbytes: a quarter of the memory for linear layers; slower than FP32 on most CPUs."""

from collections.abc import Sequence
from dataclasses import replace

from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import QuantizeConfig
from emotion.models import Predictor, quantized
from emotion.models.fast import speed_up_like_


def quantize(predictor: Predictor, config: QuantizeConfig) -> Predictor:
    """Return the predictor with the linear layers in INT8, the classification head in FP32 and the rest in FP16.

    Raises:
        UserError: bitsandbytes does not work on the model's device.
    """
    model = quantized(predictor.torch_model, config.threshold)
    speed_up_like_(model, predictor.torch_model)
    return replace(predictor, model=model)


def check(settings: QuantizeConfig, _before: Sequence[str], context: Context) -> None:
    """Refuse what could not be finished, as :meth:`emotion.compression.steps.registry.Step.check` says."""
    quantized(context.original.torch_model, settings.threshold)  # whether bitsandbytes works here


def apply(model: Predictor, settings: QuantizeConfig, _context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    return quantize(model, settings)
