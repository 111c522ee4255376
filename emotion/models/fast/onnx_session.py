"""ONNX Runtime's sessions without a fusion that slows them down."""

from typing import Any

from emotion.errors import first_line
from emotion.models.fast.guard import stays_plain

SLOW_FUSIONS = ("SkipLayerNormFusion", "ConstantFolding")
"""Optimisers that slow a classifier down.

The kernel of ``SkipLayerNormFusion`` takes longer than the Add and the LayerNormalization that it replaces.
``ConstantFolding`` multiplies the scales of an INT8 product beforehand, so that the fusion that makes one operator of a
product and its scales no longer finds it; an exported model has no other constants left to fold.
"""


def inference_session(runtime: Any, serialized: bytes, options: Any, disabled: tuple[str, ...] = SLOW_FUSIONS) -> Any:
    """A session on the CPU, optimised for this processor when it starts; the model itself stays portable.

    Args:
        runtime: The module ``onnxruntime``.
        serialized: An ONNX model.
        options: Its ``SessionOptions``.
        disabled: Optimisers that are left out; ONNX Runtime skips names that it does not know.
    """
    providers = ["CPUExecutionProvider"]
    if disabled:
        try:
            return runtime.InferenceSession(
                serialized, options, providers=providers, disabled_optimizers=list(disabled)
            )
        except TypeError as error:  # it has no such argument
            stays_plain("ONNX Runtime", f"it cannot leave out {', '.join(disabled)} ({first_line(error)})")
    return runtime.InferenceSession(serialized, options, providers=providers)
