"""Where the head begins in each architecture, and that lower precision does not reach it."""

from pathlib import Path

import pytest
import torch

from emotion.models import head_modules, head_state, keep_head_in_fp32
from support.files import TEXTS
from support.heads import HEADS, TENSORS
from support.predictors import KINDS, untrained

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_is_all_that_comes_after_the_encoder(kind: str, backbones: dict[str, Path]) -> None:
    model = untrained(kind, backbones[kind]).model
    assert head_modules(model) == HEADS[kind]
    state = head_state(model)
    assert sorted(state) == sorted(TENSORS[kind])
    assert all(torch.equal(value, model.get_parameter(name)) for name, value in state.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_of_a_half_precision_model_has_the_fp32_weights_and_works(
    kind: str, backbones: dict[str, Path]
) -> None:
    checkpoint = untrained(kind, backbones[kind])
    expected = {name: checkpoint.model.get_parameter(name).clone() for name in TENSORS[kind]}
    reference = checkpoint.predict_proba(TEXTS)
    model = checkpoint.model.half()
    for name, value in expected.items():
        assert not torch.equal(model.get_parameter(name).float(), value), "rounding must change the weights"
    keep_head_in_fp32(model, expected)
    for name, parameter in model.named_parameters():
        if name in expected:
            assert parameter.dtype == torch.float32
            assert torch.equal(parameter, expected[name])
        else:
            assert parameter.dtype == torch.float16
    assert torch.allclose(checkpoint.predict_proba(TEXTS), reference, atol=0.03)
