"""A classifier that runs in ONNX Runtime instead of torch."""

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PretrainedConfig

from emotion.errors import UserError, first_line
from emotion.models.fast import SLOW_FUSIONS, inference_session


class ClassifierOutput(NamedTuple):
    """The result of a call; transformers' outputs have more fields."""

    logits: Tensor
    """(rows, classes), float32."""
    features: Tensor | None = None
    """(rows, features), float32; None for models of earlier versions."""


class OnnxClassifier:
    """An ONNX model on the CPU, called as its :class:`~transformers.PreTrainedModel` would be.

    Args:
        serialized: An ONNX model with the inputs ``input_ids`` and ``attention_mask``, (rows, tokens), int64, and the
            outputs ``logits``, (rows, classes), and, perhaps, ``features``, (rows, features), both float32.
        config: The Hugging Face config of the model that it was exported from.
        fast: Whether to leave out fusions that slow it down.

    Raises:
        UserError: onnxruntime is not installed.
    """

    device = torch.device("cpu")

    def __init__(self, serialized: bytes, config: PretrainedConfig, fast: bool = True) -> None:
        (onnxruntime,) = require_packages("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # errors are raised too, which is enough
        self.serialized, self.config = serialized, config
        self._session = inference_session(onnxruntime, serialized, options, SLOW_FUSIONS if fast else ())
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.has_features = "features" in self._outputs

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> ClassifierOutput:
        """Compute logits; both inputs are (rows, tokens), int64.

        Raises:
            UserError: The model fails, or returns something else.
        """
        inputs = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        try:
            logits, *features = self._session.run(self._outputs, inputs)
        except Exception as error:  # ONNX Runtime's own kinds are not public
            raise UserError(f"weights: must be an ONNX model that runs, found {first_line(error)}") from error
        expected = (len(input_ids), self.config.num_labels)
        if logits.shape != expected or logits.dtype != np.float32:
            found = f"{logits.shape} in {logits.dtype}"
            raise UserError(f"weights: must be an ONNX model that gives logits {expected} in float32, found {found}")
        for each in features:
            if each.ndim != 2 or len(each) != len(input_ids) or each.dtype != np.float32:
                found = f"{each.shape} in {each.dtype}"
                raise UserError(f"weights: must be an ONNX model that gives features of each text, found {found}")
        return ClassifierOutput(torch.from_numpy(logits), *map(torch.from_numpy, features))


def require_packages(*names: str) -> list[Any]:
    """Import the modules ``names``. Raises :class:`UserError` if one is not installed, or cannot run here."""
    try:
        return [import_module(name) for name in names]
    except ModuleNotFoundError as error:
        raise UserError(
            f'an .onnx model needs {", ".join(names)}, found no {error.name}: pip install -e ".[onnx]"'
        ) from error
    except Exception as error:  # of compiled code that does not suit this machine
        raise UserError(
            f"an .onnx model needs {', '.join(names)}, found that they cannot be used here ({first_line(error)})"
        ) from error
