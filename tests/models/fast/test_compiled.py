"""Compiled training gives the same classifier with the same names, and goes on uncompiled if compiling fails."""

import functools
import logging
from pathlib import Path

import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd

from emotion.config import compose_config, resolve
from emotion.models.fast import padding_multiple
from emotion.models.fast.compiled import compiled
from emotion.training import EmotionClassifier, TrainConfig
from support.speed import inputs, plain


def test_a_compiled_classifier_trains_the_same_and_keeps_plain_names(
    backbones: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is traced but then run by torch itself, as testing compilers is left to torch."""
    compilations: list[object] = []
    trace = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", lambda forward, **_: compilations.append(forward) or trace(forward))
    config = resolve(compose_config("train", []), TrainConfig).optimizer
    modules = [
        EmotionClassifier(plain(backbones["minilm"]), config, 1e-3, 0, [1] * 6, compile=choice)
        for choice in (False, True)
    ]
    for module in modules:
        module.on_fit_start()
        module.eval()
    assert compilations == [modules[1].model.forward]
    batch = inputs()
    expected, found = (module(**batch) for module in modules)
    torch.testing.assert_close(found, expected)
    for module in modules:
        module(**batch).sum().backward()
    for one, other in zip(modules[0].parameters(), modules[1].parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-5)
    assert modules[1].state_dict().keys() == modules[0].state_dict().keys()


def test_what_cannot_be_compiled_runs_uncompiled_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no compiler\nin this place")

    compile_with = functools.partial(torch.compile, backend=broken)
    monkeypatch.setattr(torch, "compile", lambda forward, **_: compile_with(forward))  # our own backend takes no mode
    call = compiled(lambda x: x + 1, torch.device("cpu"))
    with caplog.at_level(logging.WARNING, "emotion"):
        for _ in range(3):
            assert call(x=torch.ones(2)).tolist() == [2, 2]
    messages = [record.getMessage() for record in caplog.records if record.name == "emotion.models.fast.compiled"]
    assert len(messages) == 1
    assert "no compiler" in messages[0]


def test_a_backward_pass_that_cannot_be_compiled_does_not_end_the_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such kernel")

    backend = aot_autograd(fw_compiler=lambda graph, _: make_boxed_func(graph.forward), bw_compiler=broken)
    compile_with = functools.partial(torch.compile, backend=backend)
    monkeypatch.setattr(torch, "compile", lambda forward, **_: compile_with(forward))
    call = compiled(lambda x: (2 * x).sin(), torch.device("cpu"))
    x = torch.ones(3, requires_grad=True)
    call(x=x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * torch.full((3,), 2.0).cos())
    assert "no such kernel" in caplog.text


def test_an_error_of_the_model_itself_is_not_blamed_on_the_compiler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))

    def forward(x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            raise ValueError("mine")
        return x

    with pytest.raises(ValueError, match="mine"):
        compiled(forward, torch.device("cpu"))(x=torch.ones(1))
    assert "emotion.models.fast.compiled" not in {record.name for record in caplog.records}


def test_lengths_are_padded_to_multiples_only_if_compiling_on_a_gpu() -> None:
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert padding_multiple(compile=True, device=gpu) == 32
    assert padding_multiple(compile=True, device=cpu) == 1
    assert padding_multiple(compile=False, device=gpu) == 1
