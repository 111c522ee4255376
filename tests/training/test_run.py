"""A training run as a whole, on tiny backbones: deliverables, determinism, sweeps."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from emotion import checkpoint
from emotion.errors import UserError
from emotion.evaluation import evaluate
from emotion.files import sha256
from emotion.reporting import TrainingReport, is_our_figure, read_rows
from emotion.training import EmotionClassifier, train
from support.files import sample_rows, write_csv
from support.labels import EMOTION6
from support.predictors import KINDS, NAMES, out_of_memory
from support.training import config_for, read_report, same, weights_of


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_writes_deliverables_that_agree_with_each_other(
    kind: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    out, run_dir, name = tmp_path / "out", tmp_path / "run", NAMES[kind]
    config = config_for(kind, backbones[kind], corpus, out, "model.learning_rate=0.003", "trainer.max_epochs=3")
    train(config, run_dir)
    report = read_report(out)
    TrainingReport.model_validate(report)
    entry = report["models"][name]

    loaded = checkpoint.load(out / entry["checkpoint"])
    rows = sample_rows("validation", 24)
    labels = [label for _, label in rows]
    expected = evaluate(labels, loaded.predict([text for text, _ in rows]), EMOTION6.names)
    assert entry["macro_f1"] == expected.macro_f1
    assert entry["accuracy"] == expected.accuracy
    assert entry["confusion_matrix"] == expected.confusion_matrix
    assert entry["per_class"]["joy"]["support"] == labels.count(1)

    assert len(entry["history"]) == 3
    best = max(entry["history"], key=lambda record: record["val_macro_f1"])
    assert entry["best_epoch"] == best["epoch"]
    assert entry["macro_f1"] == pytest.approx(best["val_macro_f1"], abs=1e-6)
    assert entry["history"][0]["train_loss"] > entry["history"][-1]["train_loss"]

    assert report["schema_version"] == 3
    assert report["best_model"] == name
    assert entry["target_met"] == (entry["accuracy"] >= 0.80)
    assert entry["num_parameters"] == sum(p.numel() for p in loaded.model.parameters())
    assert entry["model_size_mb"] == pytest.approx(entry["num_parameters"] * 4 / 1e6, rel=0.2)
    assert entry["latency_ms_per_sample"] > 0
    assert entry["data"]["validation"]["sha256"] == sha256(corpus["validation"])
    assert entry["data"]["train"]["rows"] == 60
    assert sum(entry["data"]["train"]["label_counts"].values()) == 60
    assert entry["checkpoint_sha256"] == sha256(out / entry["checkpoint"])
    assert entry["config"]["model"]["name"] == name
    assert entry["environment"]["versions"]["torch"] == version("torch")  # torch.__version__ may add the CUDA version
    assert loaded.metadata["macro_f1"] == entry["macro_f1"]

    pictures = {path.name for path in (out / "visualizations").iterdir()}
    assert pictures == {f"{name}_confusion_matrix.png", f"{name}_training_curves.png"}
    assert all(is_our_figure(path) for path in (out / "visualizations").iterdir())
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
        f"best_{name}.pt",
        "emotion_classification_report.json",
        "emotion_runs",
        "predictions",
        "visualizations",
    }
    assert entry["predictions"] == {
        "file": f"predictions/{name}_validation.csv",
        "sha256": sha256(out / "predictions" / f"{name}_validation.csv"),
    }
    evidence = read_rows(out / entry["predictions"]["file"])
    predicted = evidence.probabilities.argmax(1)
    assert f1_score(labels, predicted, average="macro", zero_division=0) == pytest.approx(entry["macro_f1"])
    assert accuracy_score(labels, predicted) == pytest.approx(entry["accuracy"])
    assert confusion_matrix(labels, predicted, labels=range(6)).tolist() == entry["confusion_matrix"]
    scores = precision_recall_fscore_support(labels, predicted, labels=range(6), zero_division=0)
    for index, found in enumerate(entry["per_class"].values()):
        expected_scores = [column[index] for column in scores]
        assert [found[name] for name in ("precision", "recall", "f1", "support")] == pytest.approx(expected_scores)
    assert evidence.labels.tolist() == labels
    (run,) = report["runs"]
    assert run["predictions"] == {"file": "validation_predictions.csv", "sha256": entry["predictions"]["sha256"]}
    assert (run_dir / "validation_predictions.csv").read_bytes() == (out / entry["predictions"]["file"]).read_bytes()
    events = EventAccumulator(str(run_dir / "tensorboard")).Reload().Tags()
    assert {"train/loss", "val/loss", "val/macro_f1", "val/accuracy"} <= set(events["scalars"])
    assert "val/confusion_matrix" in events["images"]


def test_the_same_seed_gives_the_same_bits_and_another_seed_different_ones(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    def run(name: str, seed: int) -> dict[str, torch.Tensor]:
        train(
            config_for("bertweet", backbones["bertweet"], corpus, tmp_path / name, f"seed={seed}"),
            tmp_path / "run" / name,
        )
        return weights_of(tmp_path / name / "best_BERTweet.pt")

    first = run("a", 1)
    assert same(first, run("b", 1))
    assert not same(first, run("c", 2))


def test_a_misspelt_backbone_is_never_replaced_by_another(corpus: dict[str, Path], tmp_path: Path) -> None:
    config = config_for("minilm", Path("my_finetuned_model"), corpus, tmp_path / "out")
    with pytest.raises(UserError, match=r"model\.backbone: my_finetuned_model was not found; .*none carries it"):
        train(config, tmp_path / "run")


def test_an_earlier_tools_checkpoint_is_not_ours_to_replace(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    content = {
        "model_state_dict": {},
        "model_id": "a/b",
        "model_name": "MiniLM",
        "config": {"max_length": 8, "num_labels": 6},
    }
    torch.save(content, tmp_path / "out" / "best_MiniLM.pt")
    with pytest.raises(UserError, match=r"best_MiniLM\.pt exists and was not written by this program"):
        train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out"), tmp_path / "run")


def test_a_sweep_keeps_its_best_and_a_later_training_replaces_it(backbones: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["gloomy tears", "happy smile", "tender kiss", "furious rage", "scared dread", "stunned wow"]
    learnable = {
        "train": write_csv(tmp_path / "words.csv", [(text, label) for label, text in enumerate(words)] * 8),
        "validation": write_csv(tmp_path / "seen.csv", [(text, label) for label, text in enumerate(words)]),
    }
    best, previous = out / "best_MiniLM.pt", out / "best_MiniLM.previous.pt"

    def run(name: str, rate: float, sweep: str | None) -> str:
        overrides = (f"model.learning_rate={rate}", "data.batch_size=6", "trainer.max_epochs=3")
        train(config_for("minilm", backbones["minilm"], learnable, out, *overrides), tmp_path / name, sweep)
        return sha256(best)

    before = run("before", 1e-3, None)
    weak = run("weak", 1e-6, "sweep-1")
    assert sha256(previous) == before
    strong = run("strong", 1e-2, "sweep-1")
    assert strong != weak
    assert sha256(previous) == before, "a weaker run of the same sweep is not kept as the previous file"
    assert run("weak again", 1e-6, "sweep-1") == strong
    report = read_report(out)
    assert [Path(record["run_id"]).name for record in report["runs"] if record["kept"]] == ["before", "weak", "strong"]
    assert len(report["runs"]) == 4
    assert report["models"]["MiniLM"]["checkpoint_sha256"] == strong
    assert report["models"]["MiniLM"]["run_id"] == str(tmp_path / "strong")
    later = run("later", 1e-6, "sweep-2")
    assert later != strong
    assert sha256(previous) == strong
    assert run("weak, after another training", 1e-7, "sweep-1") == later, "its sweep had a better run earlier"


def test_best_model_is_named_among_entries_of_the_same_validation_data(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    easy = {
        "train": corpus["train"],
        "validation": write_csv(tmp_path / "easy.csv", [("I am happy", 1), ("joyful", 1)]),
    }
    train(config_for("minilm", backbones["minilm"], easy, out, "model.learning_rate=0.003"), tmp_path / "1")
    train(config_for("cardiff", backbones["cardiff"], corpus, out, "model.learning_rate=1e-7"), tmp_path / "2")
    report = read_report(out)
    assert report["models"].keys() == {"MiniLM", "CardiffRoBERTa"}
    assert report["best_model"] == "CardiffRoBERTa"


@pytest.mark.parametrize(
    "name",
    [
        "best_MiniLM.pt",
        "best_MiniLM.previous.pt",
        "emotion_classification_report.json",
        "visualizations/MiniLM_confusion_matrix.png",
    ],
)
def test_a_file_that_is_not_ours_is_never_replaced(
    name: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    foreign = tmp_path / "out" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"precious")
    with pytest.raises(UserError, match=foreign.name):
        train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out"), tmp_path / "run")
    assert foreign.read_bytes() == b"precious"
    assert not (tmp_path / "run").exists()


def test_max_length_beyond_the_positions_is_refused(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    config = config_for("bertweet", backbones["bertweet"], corpus, tmp_path / "out", "data.max_length=129")
    with pytest.raises(UserError, match=r"data\.max_length: must be <= 128, .* found 129"):
        train(config, tmp_path / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU that is not there")
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.accelerator=gpu", r"trainer\.accelerator: must be on this machine, found no gpu"),
        ("trainer.devices=[1]", r"trainer\.devices: a list picks GPUs, found \[1\]"),
        ("trainer.precision=16-mixed", r"trainer\.precision: 16-mixed needs a GPU"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_line(
    override: str, words: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", override), tmp_path / "run")


def test_a_batch_that_is_too_large_is_refused_in_one_line(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmotionClassifier, "training_loss", out_of_memory)
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path / "out")
    with pytest.raises(UserError, match=r"^data\.batch_size: must fit into this machine's memory, found 32"):
        train(config, tmp_path / "run")
    assert not list((tmp_path / "out").rglob("*.pt"))


def test_a_sweep_refuses_several_processes(backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path) -> None:
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", "trainer=ddp")
    with pytest.raises(UserError, match=r"trainer\.devices: must be one device in a sweep, found 2"):
        train(config, tmp_path / "run", sweep="sweep")


def test_the_faster_code_can_be_switched_off(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing of other libraries is replaced: the classes and the optimizer are theirs."""
    seen: set[str] = set()
    step = EmotionClassifier.training_step

    def watched(self: EmotionClassifier, *arguments: Any) -> Any:
        optimizer = self.optimizers().optimizer
        seen.update(type(module).__module__.partition(".")[0] for module in self.model.modules())
        seen.add(f"fused={optimizer.defaults['fused']}")
        return step(self, *arguments)

    monkeypatch.setattr(EmotionClassifier, "training_step", watched)
    for fast, expected in ((False, {"torch", "transformers", "fused=None"}), (True, {"emotion", "fused=True"})):
        seen.clear()
        overrides = ["trainer.max_epochs=1", f"fast={str(fast).lower()}"]
        config = config_for("minilm", backbones["minilm"], corpus, tmp_path / str(fast), *overrides)
        train(config, tmp_path / "run" / str(fast))
        assert expected <= seen
        assert fast or seen == expected


def test_foreign_files_in_the_run_folder_are_refused_and_kept(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", "trainer.max_epochs=1")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "config.yaml").write_text("my: notes")
    with pytest.raises(UserError, match=r"^hydra\.run\.dir: .*config\.yaml exists and was not written by this program"):
        train(config, mine)
    (mine / "config.yaml").unlink()
    (mine / "checkpoints").mkdir()
    (mine / "checkpoints" / "last.ckpt").write_text("my model")
    with pytest.raises(UserError, match=r"^hydra\.run\.dir: .*last\.ckpt was not written by this program"):
        train(config, mine)
    assert (mine / "checkpoints" / "last.ckpt").read_text() == "my model"
    train(config, tmp_path / "ours")
    train(config, tmp_path / "ours")
