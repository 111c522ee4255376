"""Every step can be run by its name, and a chain that could not be finished is refused before it begins."""

import importlib
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
import torch
from pydantic import Field

from emotion.checkpoint import load
from emotion.compression import Chains
from emotion.compression.steps.context import Context
from emotion.compression.steps.registry import STEPS, Step
from emotion.config import Config, compose_config, resolve
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.models import OnnxClassifier, Predictor
from support.compression import config_of
from support.files import sample_rows, write_csv
from support.labels import EMOTION6
from support.predictors import untrained


@pytest.fixture
def original(backbones: dict[str, Path]) -> Predictor:
    return untrained("minilm", backbones["minilm"])


@pytest.fixture
def chains(original: Predictor, tmp_path: Path) -> Chains:
    paths = {split: write_csv(tmp_path / f"{split}.csv", sample_rows(split, 16)) for split in ("train", "validation")}
    validation = LabelledTexts.read(str(paths["validation"]), "text", "label", EMOTION6, "data.validation")
    config = config_of(f"data.train={paths['train']}")
    return Chains(original, validation, config, tmp_path / "run")


def fingerprint(checkpoint: Predictor) -> object:
    """A value that every step changes."""
    if isinstance(checkpoint.model, OnnxClassifier):
        return "onnx", len(checkpoint.model.serialized)
    state = checkpoint.model.state_dict()
    return {name: (value.dtype, value.shape, value.float().sum()) for name, value in state.items()}


@pytest.mark.usefixtures("one_thread")
def test_every_step_changes_the_model_in_its_own_way(
    chains: Chains, original: Predictor, backbones: dict[str, Path]
) -> None:
    results = {}
    for name in STEPS:
        steps, left_out = (f"[{name},distill]", "distill") if STEPS[name].needs_training else (f"[{name}]", None)
        chain = config_of(f"technique.steps={steps}", "drop_layers.keep=1", "distill.max_epochs=1")
        results[name] = fingerprint(chains.apply(chain, untrained("minilm", backbones["minilm"]), left_out))
    plain = fingerprint(untrained("minilm", backbones["minilm"]))
    everything = [plain, *results.values()]
    assert all(a != b for index, a in enumerate(everything) for b in everything[:index])
    assert fingerprint(original) == plain, "the original is as it was"


class Scale(Config):
    """Settings of a new step."""

    factor: Annotated[float, Field(gt=0)]


def scale(model: Predictor, settings: Scale, _context: Context) -> Predictor:
    with torch.no_grad():
        model.torch_model.get_input_embeddings().weight.mul_(settings.factor)
    return model


def add_step(apply: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Add a step ``scale`` that is done by ``apply``; return the reloaded module of the config."""
    module = ModuleType("emotion.compression.steps.scale")
    module.__dict__["apply"] = apply
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(STEPS, "scale", Step("scale", Scale))
    return importlib.reload(sys.modules["emotion.compression.config"])


def test_a_result_that_cannot_be_loaded_replaces_no_earlier_file(
    chains: Chains, original: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def widen(model: Predictor, _settings: Scale, _context: Context) -> Predictor:
        """Change a weight's shape, but not the config that the model is rebuilt from."""
        embedding = model.torch_model.get_input_embeddings()
        embedding.weight = torch.nn.Parameter(torch.cat([embedding.weight, embedding.weight]))
        return model

    config = add_step(widen, monkeypatch)
    composed = compose_config("compress", ["technique=prune", "technique.steps=[scale]", "+scale={factor: 2.0}"])
    chain = resolve(composed, config.CompressConfig)
    path = tmp_path / "scaled.pt"
    path.write_bytes(b"an earlier model")
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: .*weight must have shape"):
        chains.make(chain, original, path)
    assert path.read_bytes() == b"an earlier model"
    assert [each.name for each in tmp_path.glob("*scaled*")] == ["scaled.pt"]
    monkeypatch.undo()
    importlib.reload(config)


def test_a_step_is_added_by_one_entry(
    chains: Chains, original: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A new step needs a module, settings in a YAML file and a line in the mapping; no other code names steps."""
    config = add_step(scale, monkeypatch)
    composed = compose_config("compress", ["technique=prune", "technique.steps=[scale]", "+scale={factor: 2.0}"])
    chain = resolve(composed, config.CompressConfig)
    before = original.torch_model.get_input_embeddings().weight.clone()
    assert chains.make(chain, original, tmp_path / "scaled.pt") == {"scale": {"factor": 2.0}}
    assert torch.equal(load(tmp_path / "scaled.pt").torch_model.get_input_embeddings().weight, 2 * before)
    composed.scale.factor = -1.0
    with pytest.raises(UserError, match=r"^scale\.factor: must be a number > 0, found -1\.0"):
        resolve(composed, config.CompressConfig)
    monkeypatch.undo()
    importlib.reload(config)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["technique.steps=[distill]", "distill.unlabelled=nowhere.csv"], "distill.unlabelled: must be a CSV file"),
        (
            ["technique.steps=[trim_vocabulary,drop_layers,distill]", "distill.model=minilm"],
            "distill.model: must be null after other steps, whose work a new student does not have,"
            " found minilm after trim_vocabulary, drop_layers",
        ),
        (["technique=static", "static.hidden_size=15"], "static.hidden_size: must be an even number >= 2, found 15"),
        (
            ["technique.steps=[static,onnx_int8]"],
            "technique.steps: must have a step that trains after static, whose head is drawn at random, found",
        ),
        (
            ["technique.steps=[static,distill,drop_layers]"],
            "technique.steps: must have no drop_layers after static, which leaves no layers, found",
        ),
    ],
)
def test_a_chain_that_could_not_be_finished_is_refused_at_once(
    overrides: list[str], words: str, chains: Chains
) -> None:
    with pytest.raises(UserError) as caught:
        chains.check(config_of(*overrides))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_before_the_first_step(
    missing: str, chains: Chains, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("technique.steps=[distill,onnx_int8]")
    chains.check(config)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=f"found no {missing}"):
        chains.check(config)


def test_scales_are_measured_on_the_training_texts_or_else_on_the_sample(
    chains: Chains, original: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = config_of("technique=onnx_int8")
    assert chains.context(chain).calibration_texts() == [text for text, _ in sample_rows("train", 16)]
    validation = chains.context(chain).validation
    nothing_given = Chains(original, validation, config_of(), tmp_path)
    with caplog.at_level(logging.INFO, logger="emotion"):
        assert nothing_given.context(chain).calibration_texts() == [text for text, _ in sample_rows("train")]
    assert "calibrating on the sample corpus: data.train: must be given" in caplog.text
    unusable = Chains(original, validation, config_of("data.train=nowhere.csv"), tmp_path)
    with pytest.raises(UserError, match=r"^data\.train: must be"):
        unusable.check(chain)
