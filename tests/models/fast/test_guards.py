"""If a newer library has changed, work goes on in the plain way."""

import copy
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import torch
from torch import nn
from transformers import BertForSequenceClassification

from emotion.models.fast import inference_session, model_from_state
from emotion.models.fast.fused_adamw import fused_adamw
from support.speed import inputs, plain


class Later(BertForSequenceClassification):
    """A model as in a later transformers whose ``from_pretrained`` takes no state dict."""

    @classmethod
    def from_pretrained(cls, *_: Any, **__: Any) -> Self:
        raise TypeError("from_pretrained() got an unexpected keyword argument 'state_dict'")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_models_are_built_without_from_pretrained(dtype: torch.dtype, backbones: dict[str, Path]) -> None:
    original = plain(backbones["minilm"])
    state, before = original.state_dict(), torch.get_rng_state()
    expected = model_from_state(BertForSequenceClassification, copy.deepcopy(original.config), state, dtype)
    found = model_from_state(Later, copy.deepcopy(original.config), state, dtype)
    assert torch.equal(torch.get_rng_state(), before)
    assert found.config.dtype == expected.config.dtype == dtype
    assert not found.training
    assert {name: value.dtype for name, value in found.named_buffers()} == {
        name: value.dtype for name, value in expected.named_buffers()
    }
    with torch.inference_mode():
        assert torch.equal(found(**inputs()).logits, expected(**inputs()).logits)


def test_a_fused_optimizer_leaves_unscaling_to_lightning() -> None:
    layer = nn.Linear(2, 2)
    optimizer = fused_adamw([{"params": layer.parameters(), "weight_decay": 0.0}], 0.1)
    assert optimizer.defaults["fused"]
    assert not getattr(optimizer, "_step_supports_amp_scaling", False)


@pytest.mark.parametrize("kind", ["minilm", "modernbert"])
def test_onnx_runtime_accepts_names_of_unknown_fusions(kind: str, backbones: dict[str, Path]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from emotion.compression.steps.onnx import export

    serialized, options = export(plain(backbones[kind])), onnxruntime.SessionOptions()
    options.log_severity_level = 4
    feed = {name: values.numpy() for name, values in inputs().items()}
    sessions = [
        inference_session(onnxruntime, serialized, options, disabled)
        for disabled in ((), ("SkipLayerNormFusion",), ("NoSuchFusion",))
    ]
    expected, *others = (torch.from_numpy(session.run(["logits"], feed)[0]) for session in sessions)
    for found in others:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_onnx_runtime_may_lack_a_switch_for_fusions(caplog: pytest.LogCaptureFixture) -> None:
    made: list[tuple[Any, ...]] = []

    def session(serialized: bytes, options: object, providers: list[str]) -> str:
        made.append((serialized, options, providers))
        return "a session"

    runtime = SimpleNamespace(InferenceSession=session)
    with caplog.at_level(logging.WARNING, "emotion"):
        for _ in range(2):
            assert inference_session(runtime, b"model", "options") == "a session"
    assert made == [(b"model", "options", ["CPUExecutionProvider"])] * 2
    assert len([record for record in caplog.records if "ONNX Runtime" in record.getMessage()]) == 1
