"""Whether this processor multiplies 8-bit numbers exactly; these tests pass on processors of either kind."""

import numpy as np
import onnxruntime
import pytest

from emotion.compression.steps.onnx_quantization import quantize_linear_layers
from emotion.models import int8_products_overflow
from support.onnx_models import matrix_products


@pytest.mark.parametrize("rows", [1, 3, 64])
@pytest.mark.parametrize("reduce_range", [True, False])
def test_only_8_bit_products_are_wrong_and_only_where_they_overflow(reduce_range: bool, rows: int) -> None:
    """All numbers are the largest that their bits can hold, so any processor whose products overflow shows it here."""
    weight = np.ones((64, 32), dtype=np.float32) * np.where(np.arange(32) % 2, 1, -1).astype(np.float32)
    quantized = quantize_linear_layers(matrix_products(weight), [], per_channel=True, reduce_range=reduce_range)
    session = onnxruntime.InferenceSession(quantized, providers=["CPUExecutionProvider"])
    inputs = np.ones((rows, 64), dtype=np.float32)
    (found,) = session.run(None, {"x0": inputs})
    assert np.allclose(found, inputs @ weight, rtol=1e-5) == (reduce_range or not int8_products_overflow())
