"""Schemas, bounds and composition: every YAML composes, and Lightning knows every key of the trainer."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from lightning import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from omegaconf import OmegaConf

from emotion.benchmark import BenchmarkConfig
from emotion.benchmark.config import PARTS
from emotion.compression import CompressConfig
from emotion.config import CONF, PROJECT, choices, compose_config, resolve, sweep_configs
from emotion.errors import UserError
from emotion.labels import LabelSet
from emotion.models import model_choices
from emotion.prediction import PredictConfig
from emotion.training import TrainConfig, TrainerConfig

GROUPS = {group.name: choices(group.name) for group in CONF.iterdir() if group.is_dir() and group.name != "hydra"}
CSVS = ["data=csv", "data.train=a.csv", "data.validation=b.csv"]


def train_config(*overrides: str) -> TrainConfig:
    return resolve(compose_config("train", list(overrides)), TrainConfig)


TRAINING_GROUPS = sorted(GROUPS.keys() - {"technique", "benchmark"})


@pytest.mark.parametrize(
    ("group", "choice"), [(group, choice) for group in TRAINING_GROUPS for choice in GROUPS[group]]
)
def test_every_choice_composes_and_passes_its_rules(group: str, choice: str) -> None:
    extra = CSVS[1:] if (group, choice) == ("data", "csv") else []
    assert train_config(f"{group}={choice}", *extra).seed == 42


@pytest.mark.parametrize("model", GROUPS["model"])
def test_a_recipe_says_how_weights_are_learned_and_nothing_else(model: str) -> None:
    default, tuned = (train_config(f"model={model}", f"recipe={name}").model_dump() for name in ("default", "tuned"))
    changed = {key for key in default if default[key] != tuned[key]}
    assert changed
    assert changed <= {"model", "optimizer", "augmentation"}
    assert tuned["model"] == default["model"] | {"learning_rate": tuned["model"]["learning_rate"]}
    given = train_config(f"model={model}", "recipe=tuned", "model.learning_rate=3e-5")
    assert given.model.learning_rate == 3e-5, "what the user gives wins"


@pytest.mark.parametrize("technique", GROUPS["technique"])
def test_every_technique_composes_and_passes_its_rules(technique: str) -> None:
    config = resolve(compose_config("compress", [f"technique={technique}"]), CompressConfig)
    assert config.technique.name == technique, "a variant is named after its technique's file"
    assert bool(config.technique.steps) != bool(config.technique.techniques)
    assert set(config.technique.techniques) <= set(GROUPS["technique"]) - {technique}


@pytest.mark.parametrize("part", GROUPS["benchmark"])
def test_every_part_of_the_benchmark_composes_and_passes_its_rules(part: str) -> None:
    config = resolve(compose_config("benchmark", [f"benchmark={part}"]), BenchmarkConfig)
    assert config.benchmark.parts == (list(PARTS) if part == "all" else [part])


def test_compression_has_the_documented_defaults() -> None:
    config = resolve(compose_config("compress", []), CompressConfig)
    assert (config.technique.name, config.weights, config.output_dir) == ("all", None, None)
    assert (config.prune.amount, config.prune.scope, config.prune.include_head) == (0.3, "layer", False)
    assert (config.quantize.threshold, config.max_drop) == (6.0, None)


def test_predict_composes() -> None:
    config = resolve(compose_config("predict", ["weights=w.pt", "csv=c.csv"]), PredictConfig)
    assert (config.weights, config.csv, config.output) == ("w.pt", "c.csv", None)


def test_defaults_are_the_documented_ones() -> None:
    config = train_config(*CSVS)
    assert (config.data.batch_size, config.data.max_length, config.trainer.max_epochs) == (32, 128, 5)
    assert (config.model.learning_rate, config.seed, config.output_dir) == (5e-5, 42, "outputs")


def test_a_users_own_csvs_leave_nothing_of_the_sample() -> None:
    given_over_sample = OmegaConf.to_container(compose_config("train", CSVS[1:]), resolve=True)
    given_as_csv = OmegaConf.to_container(compose_config("train", CSVS), resolve=True)
    assert given_over_sample == given_as_csv


def test_names_may_be_given_without_colours() -> None:
    labels = train_config("labels.names=[negative,positive]").labels.label_set()
    assert labels == LabelSet(("negative", "positive"))


def test_sample_and_conf_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = train_config()
    assert Path(config.data.train) == PROJECT / "data" / "sample" / "train.csv"
    assert Path(config.data.train).is_file()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.batch_size=0", ["data.batch_size", ">= 1", "0"]),
        ("model.learning_rate=0", ["model.learning_rate", "> 0", "0"]),
        ("model.learning_rate=nan", ["model.learning_rate", "nan"]),
        ("model.name=a/b", ["model.name", "a/b"]),
        ("model.normalization=twitter", ["model.normalization", "none, bertweet, cardiff", "twitter"]),
        ("optimizer.warmup_fraction=1.5", ["optimizer.warmup_fraction", "<= 1", "1.5"]),
        ("optimizer.class_weights=[1,-2]", ["optimizer.class_weights", "balanced", "[1, -2]"]),
        ("optimizer.class_weights=heavy", ["optimizer.class_weights", "heavy"]),
        ("trainer.devices=0", ["trainer.devices", "0"]),
        ("trainer.devices=null", ["trainer.devices", "None"]),
        ("trainer.devices=[1,1]", ["trainer.devices", "[1, 1]"]),
        ("trainer.devices=true", ["trainer.devices", "True"]),
        ("trainer.gradient_clip_val=-1", ["trainer.gradient_clip_val", "> 0", "-1"]),
        ("trainer.limit_train_batches=0", ["trainer.limit_train_batches", "0"]),
        ("trainer.precision=8", ["trainer.precision", "bf16-mixed", "8"]),
        ("trainer.val_check_interval=0", ["trainer.val_check_interval", "> 0", "0"]),
        ("trainer.val_check_interval=2", ["trainer.val_check_interval", "<= 1", "2"]),
        ("trainer.patience=0", ["trainer.patience", ">= 1", "0"]),
        ("trainer.max_epochs=0", ["trainer.max_epochs", ">= 1", "0"]),
        ("seed=-1", ["seed", ">= 0", "-1"]),
        ("trainer.max_epochs=ten", ["trainer.max_epochs: must be a whole number >= 1, found 'ten'"]),
        ("trainer.max_epochs=true", ["trainer.max_epochs: must be a whole number >= 1, found True"]),
        ("compile=1", ["compile: must be true or false, found 1"]),
        ("labels.names=[joy]", ["labels.names: must be at least two names, found ['joy']"]),
        ("labels.colours.joy=yellow", ["labels.colours", "colours by name, like {joy: '#e0a100'}", "yellow"]),
        ("labels.names=none", ["labels.names: must be auto or a list of names, found 'none'"]),
        ("model.package.module=[1]", ["model.package.module: must be text that is not empty, found [1]"]),
        # Hydra itself refuses these, but its message must also be one line:
        ("trainer.epochs=3", ["epochs"]),
        ("nope=3", ["nope"]),
        ("+typo=1", ["typo"]),
        ("+trainer.typo=1", ["typo"]),
        ("model=nope", ["model", "nope"]),
    ],
)
def test_a_wrong_value_gives_one_line_that_names_key_rule_and_value(override: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        train_config(override)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("key", ["data.train", "data.validation"])
def test_half_a_corpus_is_refused(key: str) -> None:
    with pytest.raises(UserError, match=r"data\.(train|validation): must be given together"):
        train_config(f"{key}=mine.csv")


def test_a_missing_value_is_named() -> None:
    with pytest.raises(UserError, match=r"data\.train: a value is required"):
        train_config("data=csv")


@pytest.mark.parametrize("value", ["2", "[0]", "[1,3]", "auto"])
def test_devices_takes_counts_lists_and_auto(value: str) -> None:
    assert str(train_config(f"trainer.devices={value}").trainer.devices).replace(" ", "") == value


def test_gradient_clipping_can_be_switched_off() -> None:
    assert train_config("trainer.gradient_clip_val=null").trainer.gradient_clip_val is None


def test_every_trainer_field_is_an_argument_of_lightnings_trainer() -> None:
    names = TrainerConfig.model_fields.keys() - {"ckpt_path", "patience"}
    inspect.signature(Trainer).bind(**dict.fromkeys(names))
    assert "ckpt_path" in inspect.signature(Trainer.fit).parameters
    assert "patience" in inspect.signature(EarlyStopping).parameters


def test_debugging_replaces_no_real_deliverables() -> None:
    config = train_config("trainer=debug")
    assert (config.output_dir, config.trainer.max_epochs) == ("outputs/debug", 1)
    assert train_config("trainer=debug", "output_dir=mine", "trainer.max_epochs=2").output_dir == "mine"


def test_the_documented_models_are_there() -> None:
    models = {choice: (model.name, model.backbone) for choice, model in model_choices().items()}
    documented = {
        "bertweet": ("BERTweet", "vinai/bertweet-base"),
        "cardiff": ("CardiffRoBERTa", "cardiffnlp/twitter-roberta-base"),
        "modernbert": ("ModernBERT", "answerdotai/ModernBERT-base"),
        "minilm": ("MiniLM", "sentence-transformers/all-MiniLM-L6-v2"),
    }
    assert documented.items() <= models.items()


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(UserError) as caught:
        train_config("seed=-1", "trainer.max_epochs=0", "trainer.devices=[]", "+typo=1", "data=csv", "data.train=a.csv")
    assert str(caught.value).split("; ") == [
        "data.validation: a value is required, found none",
        "give data.validation=VALUE",
        "trainer.devices: must be a count >= 1, a list of device indices like [1], or auto, found []",
        "trainer.max_epochs: must be a whole number >= 1, found 0",
        "seed: must be a whole number >= 0 and <= 4294967295, found -1",
        "typo: must be a key of the config, found an unknown one",
    ]


def test_numbers_are_accepted_as_text_and_environment_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE_RESULTS_GO", "elsewhere")
    assert train_config("output_dir=2024").output_dir == "2024"
    assert train_config("output_dir=${oc.env:WHERE_RESULTS_GO}").output_dir == "elsewhere"
    assert train_config("trainer.gradient_clip_val=2").trainer.gradient_clip_val == 2.0


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        train_config().seed = 3  # type: ignore[misc]


def test_every_job_of_a_sweep_is_checked_before_the_first_starts(tmp_path: Path) -> None:
    arguments = ["-m", "seed=1,-2", "model=minilm,cardiff", "trainer.max_epochs=0"]
    command = [sys.executable, str(PROJECT / "scripts" / "train.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: trainer.max_epochs: must be a whole number >= 1, found 0;"
        " seed: must be a whole number >= 0 and <= 4294967295, found -2\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_finds_the_models_of_another_folder(tmp_path: Path) -> None:
    own = (tmp_path / "model" / "own.yaml", CONF / "model" / "minilm.yaml")
    own[0].parent.mkdir()
    own[0].write_text(own[1].read_text(encoding="utf-8").replace("name: MiniLM", "name: Own"), encoding="utf-8")
    overrides = [f"hydra.searchpath=['file://{tmp_path}']", "model=minilm,own", "hydra.job.name=ignored"]
    configs = sweep_configs("train", TrainConfig, overrides)
    assert [config.model.name for config in configs] == ["MiniLM", "Own"]
