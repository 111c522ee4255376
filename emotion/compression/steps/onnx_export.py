"""Export to ONNX Runtime, which runs Transformers faster on a CPU than torch does; with INT8 weights still faster."""

import copy
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
from emotion.compression.steps.int8_embedding import quantize_embeddings_
from emotion.compression.steps.onnx_quantization import quantize_linear_layers
from emotion.compression.steps.registry import OnnxConfig
from emotion.compression.steps.smoothing import smooth_
from emotion.errors import UserError, first_line
from emotion.models import OnnxClassifier, Predictor, head_state, int8_products_overflow, require_packages

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
OPSET = 23
"""The first with attention and rotary embeddings as one operator each, which run faster than what they are made of."""


def export_onnx(predictor: Predictor) -> Predictor:
    """The predictor in ONNX Runtime, in FP32. Its torch model is left as it is.

    Raises:
        UserError: A package is missing, or the model cannot be exported.
    """
    return _in_onnx(predictor, _export(copy.deepcopy(predictor.torch_model).cpu()), weights="float32")


def export_onnx_int8(predictor: Predictor, config: OnnxConfig) -> Predictor:
    """Export to ONNX Runtime with INT8 weights, except the classification head's, which stay in FP32.

    Activations are quantised while it runs, with one scale for a batch. The torch model is left as it is.

    Args:
        predictor: In FP32.
        config: How weights are quantised.

    Raises:
        UserError: A package is missing, or the model cannot be exported.
    """
    require_packages(*PACKAGES)
    model = copy.deepcopy(predictor.torch_model).cpu()
    head = [weight for weight in head_state(model).values() if weight.ndim == 2]
    smooth_(replace(predictor, model=model))
    quantize_embeddings_(model)
    reduce_range = int8_products_overflow() if config.reduce_range == "auto" else config.reduce_range
    exported = _export(model)
    with _quiet():
        serialized = quantize_linear_layers(exported, head, config.per_channel, reduce_range)
    return _in_onnx(predictor, serialized, weights="int8", per_channel=config.per_channel, reduce_range=reduce_range)


def _in_onnx(predictor: Predictor, serialized: bytes, **settings: Any) -> Predictor:
    metadata = {**predictor.metadata, "onnx": {"opset": OPSET, **settings}}
    return replace(predictor, model=OnnxClassifier(serialized, predictor.torch_model.config), metadata=metadata)


class _Logits(nn.Module):
    """``model`` with tensors in and out, as the exporter wants it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        positions = {}
        if hasattr(self.model.base_model, "rotary_emb"):
            # A model's own default is one row for all texts; ONNX Runtime's RotaryEmbedding wants a row for each.
            positions["position_ids"] = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **positions).logits
        return logits


def _export(model: PreTrainedModel) -> bytes:
    """The ONNX model for any number of texts and tokens."""
    require_packages(*PACKAGES)
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    example = torch.zeros(2, 5, dtype=torch.int64)
    sizes = {0: torch.export.Dim("texts", min=1, max=2**20), 1: torch.export.Dim("tokens", min=1, max=2**20)}
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                _Logits(model).eval(),
                (example, torch.ones_like(example)),
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
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
def _quiet() -> Iterator[None]:
    """Within: no warnings and log messages below errors; the exporter and the quantiser have many that ask nothing."""
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


def apply_int8(model: Predictor, settings: OnnxConfig, _context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    return export_onnx_int8(model, settings)
