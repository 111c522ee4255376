"""A wrong key, type or value in a config gives one line that names it, the rule and what was found."""

import subprocess
import sys
from pathlib import Path

import pytest

from emotion.compression import CompressConfig
from emotion.config import PROJECT, compose_config, resolve
from emotion.errors import UserError
from emotion.prediction import PredictConfig
from emotion.training import TrainConfig


def assert_refused(name: str, schema: type, overrides: list[str], parts: list[str]) -> None:
    """The config cannot be resolved, and one line holds all ``parts``."""
    with pytest.raises(UserError) as caught:
        resolve(compose_config(name, overrides), schema)
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["typo=1"], ["typo"]),
        (["+data.typo=1"], ["typo"]),
        (["optimizer.weight_decay=much"], ["optimizer.weight_decay", "much"]),
        (["trainer.enable_progress_bar=perhaps"], ["trainer.enable_progress_bar", "perhaps"]),
        (["trainer.gradient_clip_val=-1"], ["trainer.gradient_clip_val: must be a number > 0 or null, found -1"]),
        (["model.learning_rate=nan"], ["model.learning_rate: must be a number > 0 and <= 1, found nan"]),
        (["model.learning_rate=inf"], ["model.learning_rate: must be a number > 0 and <= 1, found inf"]),
        (["data.max_length=3"], ["data.max_length: must be a whole number >= 4, found 3"]),
        (["seed=-1"], ["seed: must be a whole number >= 0", "found -1"]),
        (["trainer.devices=[]"], ["trainer.devices: must be", "found []"]),
        (["trainer.limit_train_batches=1.5"], ["trainer.limit_train_batches: must be", "found 1.5"]),
        (["optimizer.class_weights=[1,0]"], ["optimizer.class_weights: must be", "found [1, 0]"]),
        (["model.normalization=upper"], ["model.normalization: must be one of", "found 'upper'"]),
        (["data=csv", "data.train=a.csv"], ["data.validation: a value is required, found none"]),
        (["data.validation=a.csv"], ["data.train: must be given together with data.validation", "found", "a.csv"]),
        (["trainer=fast"], ["trainer/fast", "debug", "default"]),
        (["data.train=["], ["["]),
    ],
)
def test_a_bad_training_config_names_key_rule_and_value(overrides: list[str], parts: list[str]):
    assert_refused("train", TrainConfig, overrides, parts)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ([], ["a value is required, found none"]),
        (["weights=a.pt", "csv=a.csv", "batch_size=0"], ["batch_size: must be a whole number >= 1, found 0"]),
        (["weights=a.pt", "csv=a.csv", "probabilities=often"], ["probabilities", "often"]),
        (["weights=a.pt", "csv=a.csv", "+label=x"], ["label"]),
    ],
)
def test_a_bad_prediction_config_names_key_rule_and_value(overrides: list[str], parts: list[str]):
    assert_refused("predict", PredictConfig, overrides, parts)


CHAIN = "technique.steps: must "


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["technique=nope"], ["technique/nope", "all", "combined", "half", "prune", "quantize"]),
        (["prune.amount=0"], ["prune.amount: must be a share between 0 and 1, both excluded, found 0"]),
        (["prune.amount=1"], ["prune.amount: must be a share between 0 and 1, both excluded, found 1"]),
        (["prune.amount=1.5"], ["prune.amount: must be", "found 1.5"]),
        (["prune.amount=-0.1"], ["prune.amount: must be", "found -0.1"]),
        (["prune.amount=nan"], ["prune.amount: must be", "found nan"]),
        (["prune.amount=some"], ["prune.amount", "some"]),
        (["prune.scope=model"], ["prune.scope: must be one of layer, global, found 'model'"]),
        (["prune.include_head=perhaps"], ["prune.include_head", "perhaps"]),
        (["quantize.threshold=-1"], ["quantize.threshold: must be a number >= 0, found -1"]),
        (["half.dtype=float8"], ["half.dtype: must be one of float16, bfloat16, found 'float8'"]),
        (["onnx.reduce_range=maybe"], ["onnx.reduce_range: must be auto, true or false, found 'maybe'"]),
        (["drop_layers.keep=0"], ["drop_layers.keep: must be", "found 0"]),
        (["drop_layers.keep=[4,2]"], ["drop_layers.keep: must be", "found [4, 2]"]),
        (["narrow.heads=0"], ["narrow.heads: must be a number > 0 and <= 1, found 0"]),
        (["distill.temperature=0"], ["distill.temperature: must be a number > 0, found 0"]),
        (["rounds=0"], ["rounds: must be a whole number >= 1, found 0"]),
        (["max_drop=-1"], ["max_drop: must be a number >= 0 and <= 1 or null, found -1"]),
        (["prefer=beauty"], ["prefer: must be one of size, speed, found 'beauty'"]),
        (["accelerator=tpu"], ["accelerator: must be one of", "'tpu'"]),
        (["technique.name=a/b"], ["technique.name: must be letters", "found 'a/b'"]),
        (["technique.name=original"], ["technique.name: must be", "not original", "found 'original'"]),
        (["+typo=1"], ["typo"]),
        (["prune.amont=0.5"], ["amont"]),
        (
            ["technique=prune", "technique.steps=[quantize,prune]"],
            [CHAIN, "have quantize at the end", "found ['quantize', 'prune']"],
        ),
        (["technique=prune", "technique.steps=[half,onnx]"], [CHAIN, "have half at the end", "'onnx']"]),
        (
            ["technique=prune", "technique.steps=[prune,distill]"],
            [CHAIN, "have no distill after prune, which it would undo", "found ['prune'"],
        ),
        (
            ["technique=prune", "technique.steps=[prune,prune]"],
            [CHAIN, "name each step once, found ['prune', 'prune']"],
        ),
        (
            ["technique=prune", "technique.steps=[prune,squeeze]"],
            [CHAIN, "be steps among trim_vocabulary, ", "found 'squeeze'"],
        ),
    ],
)
def test_a_bad_compression_config_names_key_rule_and_value(overrides: list[str], parts: list[str]):
    assert_refused("compress", CompressConfig, overrides, parts)


@pytest.mark.parametrize(
    ("script", "choice", "words"),
    [
        ("train", "model=[minilm,cardiff]", "model: must be one of bertweet, cardiff, minilm, modernbert, found [m"),
        ("compress", "technique=[prune,half]", "technique: must be one of all, combined, "),
        ("compress", "technique=null", "technique: must be one of all, combined, "),
    ],
)
def test_a_script_takes_one_file_of_a_group(script: str, choice: str, words: str, tmp_path: Path) -> None:
    """Hydra itself would take the last of a list."""
    command = [sys.executable, str(PROJECT / "scripts" / f"{script}.py"), choice]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {words}")
    assert done.stderr.count("\n") == 1
