"""Each step's name and what it does."""

from typing import Any

from emotion.checkpoint import Checkpoint
from emotion.compression.half import half_
from emotion.compression.prune import prune_
from emotion.compression.quantize import quantize
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.schemas.compress import CompressConfig

LEARNING_STEPS = ("trim_vocabulary", "narrow", "distill")
"""Those that need the training data."""


def step_config(step: str, config: CompressConfig) -> Any:
    """The settings of ``step``: a dataclass of :mod:`emotion.schemas.compress`."""
    return getattr(config, "onnx" if step == "onnx_int8" else step)


def apply(step: str, checkpoint: Checkpoint, config: CompressConfig, train: LabelledTexts | None) -> Checkpoint:
    """What ``step`` makes of ``checkpoint``, which it may change.

    Args:
        step: A name of :data:`emotion.schemas.compress.STEPS`.
        checkpoint: In FP32.
        config: With the step's settings.
        train: The training data; given for :data:`LEARNING_STEPS`.

    Raises:
        UserError: The step cannot be done with this model, these settings or on this machine.
    """
    match step:
        case "prune":
            prune_(checkpoint.model, config.prune)
        case "quantize":
            return quantize(checkpoint, config.quantize)
        case "half":
            half_(checkpoint.model, config.half)
        case _:
            raise UserError(f"technique.steps: found {step!r}, which no version of this program knows yet")
    return checkpoint
