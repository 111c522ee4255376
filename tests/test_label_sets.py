"""Other label sets than the default, from the training CSV to predictions with compressed files."""

import json
from pathlib import Path

import pandas as pd
import pytest

from emotion import run_inference
from emotion.checkpoint import load
from emotion.compression import CompressConfig, compress
from emotion.config import compose_config, resolve
from emotion.config.labels import load_label_set
from emotion.errors import UserError
from emotion.training import train
from support.files import sample_rows, write_csv
from support.training import config_for

TEXTS = [text for text, _ in sample_rows("train", 84)]
GOEMOTIONS = load_label_set("goemotions28").names
SETS = {
    "labels=auto": (("negative", "positive"), lambda index: ("Positive", "negative")[index % 2]),
    "labels=goemotions28": (GOEMOTIONS, lambda index: GOEMOTIONS[index % 28]),
}


def labelled(path: Path, override: str, rows: int) -> Path:
    _, label_of = SETS[override]
    return write_csv(path, [(text, label_of(index)) for index, text in enumerate(TEXTS[:rows])])


@pytest.mark.parametrize("override", SETS)
def test_another_set_is_trained_compressed_exported_and_predicted(
    override: str, backbones: dict[str, Path], tmp_path: Path
) -> None:
    names, _ = SETS[override]
    corpus = {
        "train": labelled(tmp_path / "train.csv", override, 84),
        "validation": labelled(tmp_path / "validation.csv", override, 56),
    }
    out = tmp_path / "out"
    report = train(config_for("minilm", backbones["minilm"], corpus, out, override), tmp_path / "run")
    assert report is not None
    entry = report.models["MiniLM"]
    assert [name.casefold() for name in entry.per_class] == list(names)
    assert len(entry.confusion_matrix) == len(names)

    config = compose_config("compress", ["technique.techniques=[prune,quantize,onnx,onnx_int8,distill]", "rounds=1"])
    config.weights, config.distill.max_epochs = str(out / "best_MiniLM.pt"), 1
    variants = compress(resolve(config, CompressConfig)).variants
    assert len(variants) == 6
    for name, variant in variants.items():
        file = out / variant.file if name == "original" else out / "compression_results" / variant.file
        assert load(file).labels.names == tuple(entry.per_class)
        labels = run_inference(str(file), str(corpus["validation"]))
        written = pd.read_csv(tmp_path / "validation_predictions.csv", keep_default_na=False)
        assert list(written["predicted_emotion"]) == [list(entry.per_class)[label] for label in labels]
        assert set(labels) <= set(range(len(names)))


def test_the_labels_of_the_training_csv_are_printed_and_stored(
    backbones: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = {split: labelled(tmp_path / f"{split}.csv", "labels=auto", 40) for split in ("train", "validation")}
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", "labels=auto", "trainer.max_epochs=1")
    with caplog.at_level("INFO", "emotion"):
        train(config, tmp_path / "run")
    assert "labels: 0 negative, 1 Positive" in caplog.messages
    stored = json.loads((tmp_path / "out" / "emotion_classification_report.json").read_text())
    assert list(stored["models"]["MiniLM"]["per_class"]) == ["negative", "Positive"]


@pytest.mark.parametrize(
    ("cell", "override", "message"),
    [
        ("calm", "labels=auto", r"validation\.csv: column 'label' must hold 0-1 or one of negative, Positive, found"
         r" 'calm' in row 4"),
        ("joy, love", "labels=emotion6", r"must hold one label, 0-5 or one of sadness, .*, found 'joy, love' in row 4"),
        ("7", "labels=tweeteval4", r"must hold 0-3 or one of anger, joy, optimism, sadness, found '7' in row 4"),
    ],
)  # fmt: skip
def test_an_unknown_label_is_refused_before_any_work(
    cell: str, override: str, message: str, backbones: dict[str, Path], tmp_path: Path
) -> None:
    known = ["negative", "Positive"] if override == "labels=auto" else ["joy", "sadness"]
    good = [(text, known[index % 2]) for index, text in enumerate(TEXTS[:8])]
    corpus = {
        "train": write_csv(tmp_path / "train.csv", good),
        "validation": write_csv(tmp_path / "validation.csv", [*good[:2], ("x", cell)]),
    }
    with pytest.raises(UserError, match=message):
        train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", override), tmp_path / "run")
    assert not (tmp_path / "out").exists()


def test_the_number_of_class_weights_must_be_that_of_the_labels(backbones: dict[str, Path], tmp_path: Path) -> None:
    corpus = {split: labelled(tmp_path / f"{split}.csv", "labels=auto", 8) for split in ("train", "validation")}
    overrides = ["labels=auto", "optimizer.class_weights=[1,2,3]"]
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", *overrides)
    with pytest.raises(UserError, match=r"optimizer\.class_weights: .* 2 positive numbers \(negative, Positive\)"):
        train(config, tmp_path / "run")
