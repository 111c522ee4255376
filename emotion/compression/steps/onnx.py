"""Export to ONNX Runtime, which runs Transformers faster on a CPU than torch does."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from emotion.compression.steps.context import Context
from emotion.compression.steps.export_form import copy_to_export, takes_masks
from emotion.compression.steps.registry import OnnxConfig
from emotion.errors import UserError, first_line
from emotion.models import OnnxClassifier, Predictor, features_captured, require_packages

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
OPSET = 23
"""The first with attention and rotary embeddings as one operator each, which run faster than what they are made of."""


def export_onnx(predictor: Predictor) -> Predictor:
    """The predictor in ONNX Runtime, in FP32. Its torch model is left as it is.

    Raises:
        UserError: A package is missing, or the model cannot be exported.
    """
    model = copy_to_export(predictor)
    return in_onnx(predictor, OnnxClassifier(export(model), model.config), weights="float32")


def in_onnx(predictor: Predictor, model: OnnxClassifier, **settings: Any) -> Predictor:
    """Replace the predictor's torch model by an ONNX model, and record in its metadata how that was made."""
    metadata = {**predictor.metadata, "onnx": {"opset": OPSET, **settings}}
    return replace(predictor, model=model, metadata=metadata)


class _LogitsAndFeatures(nn.Module):
    """``model`` with tensors in and out, as the exporter wants it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.takes_masks = takes_masks(model)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        positions = {}
        if hasattr(self.model.base_model, "rotary_emb"):
            # A model's own default is one row for all texts; ONNX Runtime's RotaryEmbedding wants a row for each.
            positions["position_ids"] = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        if self.takes_masks:  # transformers' own way to the same mask takes twenty operators
            # ONNX Runtime wants a row for each query.
            attention_mask = (attention_mask[:, None, None, :] != 0).expand(-1, -1, input_ids.shape[1], -1)
        with features_captured(self.model) as captured:
            logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **positions).logits
        return logits, captured[-1]


def export(model: PreTrainedModel) -> bytes:
    """Convert a torch model, on the CPU and in FP32, to an ONNX model for any number of texts and tokens.

    Raises:
        UserError: A package is missing, or the model cannot be exported.
    """
    require_packages(*PACKAGES)
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    example = torch.zeros(2, 5, dtype=torch.int64)
    sizes = {0: torch.export.Dim("texts", min=1, max=2**20), 1: torch.export.Dim("tokens", min=1, max=2**20)}
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                _LogitsAndFeatures(model).eval(),
                (example, torch.ones_like(example)),
                input_names=["input_ids", "attention_mask"],
                output_names=["logits", "features"],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=(sizes, sizes),
                verbose=False,
            )
            assert program is not None
            ClearMetadataAndDocStringPass()(program.model)  # stack traces, with paths of this machine
            serialized: bytes = program.model_proto.SerializeToString(deterministic=True)
    except Exception as error:  # the exporter's own kinds wrap those of torch, onnx and onnxscript
        reason = first_line(error.__cause__ or error)
        raise UserError(f"onnx: must have a model that can be exported, found {reason}") from error
    return serialized


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the many warnings and messages of the exporter and the quantiser that no user can act on."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def apply(model: Predictor, _settings: OnnxConfig, _context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    return export_onnx(model)
