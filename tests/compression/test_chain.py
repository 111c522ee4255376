"""Every step is done by its name, and a chain that could not be finished is refused before it begins."""

import sys
from pathlib import Path

import pytest
import torch

from conftest import NAMES, sample_rows, untrained, write_csv
from emotion.compression.chain import Materials, apply, check, step_config
from emotion.compression.config import STEPS, CompressConfig
from emotion.config.compose import compose_config, resolve
from emotion.data.datamodule import LabelledTexts
from emotion.errors import UserError
from emotion.models.onnx_runtime import OnnxClassifier
from emotion.models.predictor import Predictor
from support.labels import EMOTION6


def config_of(*overrides: str) -> CompressConfig:
    return resolve(compose_config("compress", ["technique=prune", *overrides]), CompressConfig)


@pytest.fixture
def materials(backbones: dict[str, Path], tmp_path: Path) -> Materials:
    paths = {split: write_csv(tmp_path / f"{split}.csv", sample_rows(split, 16)) for split in ("train", "validation")}
    validation = LabelledTexts.read(str(paths["validation"]), "text", "label", EMOTION6, "data.validation")
    config = config_of(f"data.train={paths['train']}")
    return Materials(untrained("minilm", backbones["minilm"]), validation, config, tmp_path / "run")


def fingerprint(checkpoint: Predictor) -> object:
    """What any step changes."""
    if isinstance(checkpoint.model, OnnxClassifier):
        return "onnx", len(checkpoint.model.serialized)
    state = checkpoint.model.state_dict()
    return {name: (value.dtype, value.shape, value.float().sum()) for name, value in state.items()}


@pytest.mark.usefixtures("one_thread")
def test_every_step_does_something_of_its_own(materials: Materials, backbones: dict[str, Path]) -> None:
    results = {}
    config = config_of("drop_layers.keep=1", "distill.max_epochs=1")
    for step in STEPS:
        model = untrained("minilm", backbones["minilm"])
        results[step] = fingerprint(apply(step, model, config, materials))
        assert step_config(step, config) is not None
    plain = fingerprint(untrained("minilm", backbones["minilm"]))
    everything = [plain, *results.values()]
    assert all(a != b for index, a in enumerate(everything) for b in everything[:index])
    assert torch.equal(
        materials.teacher.log_probabilities(["so happy"]),
        untrained("minilm", backbones["minilm"]).predict_proba(["so happy"]).log(),
    ), "the teacher is as it was"
    assert materials.original.model_name == NAMES["minilm"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["technique.steps=[distill]", "distill.unlabelled=nowhere.csv"], "distill.unlabelled: must be a CSV file"),
        (
            ["technique.steps=[trim_vocabulary,drop_layers,distill]", "distill.model=minilm"],
            "distill.model: must be null after other steps, whose work a new student does not have,"
            " found minilm after trim_vocabulary, drop_layers",
        ),
    ],
)
def test_a_chain_that_could_not_be_finished_is_refused_at_once(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        check(config_of(*overrides))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_told_before_the_first_step(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("technique.steps=[distill,onnx_int8]")
    check(config)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=f"found no {missing}"):
        check(config)
