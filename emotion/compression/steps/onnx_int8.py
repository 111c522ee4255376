"""INT8 in ONNX Runtime: smaller than FP32 and faster on a CPU, with labels that depend on nothing but the text."""

from collections.abc import Sequence
from dataclasses import replace

from emotion.compression.steps.activation_scales import fix_activation_scales
from emotion.compression.steps.context import Context
from emotion.compression.steps.export_form import copy_to_export
from emotion.compression.steps.onnx import PACKAGES, export, in_onnx, quiet
from emotion.compression.steps.onnx_quantization import quantize_linear_layers
from emotion.compression.steps.quantized_embedding import quantize_embeddings_
from emotion.compression.steps.registry import OnnxConfig
from emotion.compression.steps.smoothing import smooth_
from emotion.models import OnnxClassifier, Predictor, head_state, int8_products_overflow, require_packages

CALIBRATION_TEXTS = 256
"""So many tell how large a model's activations are."""


def export_onnx_int8(predictor: Predictor, config: OnnxConfig, texts: Sequence[str]) -> Predictor:
    """Export to ONNX Runtime with INT8 weights, except the classification head's, which stay in FP32.

    Activations are quantised with scales that are measured on ``texts``. The torch model is left as it is.

    Args:
        predictor: In FP32.
        config: How weights are quantised.
        texts: At least one, of the kind that the model is for; :data:`CALIBRATION_TEXTS` of them, evenly spread, are
            used.

    Raises:
        UserError: A package is missing, or the model cannot be exported.
    """
    require_packages(*PACKAGES)
    model = copy_to_export(predictor)
    head = [weight for weight in head_state(model).values() if weight.ndim == 2]
    texts = spread(texts, CALIBRATION_TEXTS)
    smooth_(replace(predictor, model=model), texts)
    quantize_embeddings_(model, config.embedding_bits)
    reduce_range = int8_products_overflow() if config.reduce_range == "auto" else config.reduce_range
    exported = export(model)
    with quiet():
        dynamic = quantize_linear_layers(exported, head, config.per_channel, reduce_range)
    serialized = fix_activation_scales(dynamic, exported, predictor.encoder.encode(texts))
    return in_onnx(
        predictor,
        OnnxClassifier(serialized, model.config),
        weights="int8",
        per_channel=config.per_channel,
        reduce_range=reduce_range,
        embedding_bits=config.embedding_bits,
        calibration_texts=len(texts),
    )


def spread(texts: Sequence[str], count: int) -> list[str]:
    """``count`` of ``texts`` at even distances, or all of them where there are fewer."""
    count = min(count, len(texts))
    return [texts[place * len(texts) // count] for place in range(count)]


def check(_settings: OnnxConfig, _before: list[str], context: Context) -> None:
    """Read the calibration texts, as :meth:`emotion.compression.steps.registry.Step.check` says."""
    context.calibration_texts()


def apply(model: Predictor, settings: OnnxConfig, context: Context) -> Predictor:
    """Do the step, as :meth:`emotion.compression.steps.registry.Step.apply` says."""
    return export_onnx_int8(model, settings, context.calibration_texts())
