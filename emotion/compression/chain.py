"""Each step's name and what it does."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

from emotion.compression.config import CompressConfig
from emotion.compression.sources import read_data, read_unlabelled
from emotion.compression.steps.distill import distill
from emotion.compression.steps.drop_layers import drop_layers_
from emotion.compression.steps.half import half_
from emotion.compression.steps.narrow import narrow_
from emotion.compression.steps.onnx_export import export_onnx, export_onnx_int8
from emotion.compression.steps.prune import prune_
from emotion.compression.steps.quantize import quantize
from emotion.compression.steps.teacher import Teacher
from emotion.compression.steps.trim_vocabulary import trim_vocabulary_
from emotion.data.csv_files import open_csv
from emotion.data.datamodule import LabelledTexts
from emotion.errors import UserError
from emotion.models.onnx_runtime import require_onnx_packages
from emotion.models.predictor import Predictor

log = logging.getLogger(__name__)


class Materials:
    """What the steps of all chains share.

    Args:
        original: The fine-tuned model.
        validation: What quality is measured on; chooses the epoch of a distillation.
        config: Where the training data is.
        run_dir: Where curves go.
    """

    def __init__(self, original: Predictor, validation: LabelledTexts, config: CompressConfig, run_dir: Path) -> None:
        self.original, self.validation, self.config, self.run_dir = original, validation, config, run_dir

    @cached_property
    def train(self) -> LabelledTexts:
        """The training data. Raises :class:`UserError` where it cannot be read."""
        train = read_data(self.original, "train", self.config.data)
        log.info("learning from %s", train.path)
        return train

    @cached_property
    def teacher(self) -> Teacher:
        """The fine-tuned model as a teacher; it remembers its answers."""
        return Teacher(self.original)


def step_config(step: str, config: CompressConfig) -> Any:
    """The settings of ``step``: a dataclass of :mod:`emotion.compression.config`."""
    return getattr(config, "onnx" if step == "onnx_int8" else step)


def check(config: CompressConfig) -> None:
    """Refuse a chain that could not be finished, before the first of its steps is done.

    Raises:
        UserError: A package is missing, a CSV cannot be read, or a step's work would be thrown away.
    """
    steps = config.technique.steps
    if any(step.startswith("onnx") for step in steps):
        require_onnx_packages("onnx", "onnxruntime", "onnxscript")
    if "distill" not in steps:
        return
    if config.distill.unlabelled is not None:
        open_csv(config.distill.unlabelled, [config.data.text_column], "distill.unlabelled")
    before = steps[: steps.index("distill")]
    if config.distill.model is not None and before:
        raise UserError(
            f"distill.model: must be null after other steps, whose work a new student does not have,"
            f" found {config.distill.model} after {', '.join(before)}"
        )


def apply(step: str, model: Predictor, config: CompressConfig, materials: Materials) -> Predictor:
    """What ``step`` makes of ``model``, which it may change.

    Args:
        step: A name of :data:`emotion.compression.config.STEPS`.
        model: In FP32.
        config: With the step's settings.
        materials: What the steps share.

    Raises:
        UserError: The step cannot be done with this model, these settings or on this machine.
    """
    match step:
        case "trim_vocabulary":
            trim_vocabulary_(model, config.trim_vocabulary, materials.train.texts)
        case "drop_layers":
            drop_layers_(model.torch_model, config.drop_layers)
        case "narrow":
            narrow_(model, config.narrow, materials.train.texts, materials.train.labels)
        case "distill":
            run_dir = materials.run_dir / config.technique.name
            unlabelled = read_unlabelled(config)
            data = materials.train, unlabelled, materials.validation
            return distill(model, config.distill, materials.teacher, *data, run_dir, config.seed, config.fast)
        case "prune":
            prune_(model.torch_model, config.prune)
        case "half":
            half_(model.torch_model, config.half)
        case "quantize":
            return quantize(model, config.quantize)
        case "onnx":
            return export_onnx(model)
        case "onnx_int8":
            return export_onnx_int8(model, config.onnx)
    return model
