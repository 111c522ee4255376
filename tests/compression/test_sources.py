"""Which model and data a compression uses, and which it refuses."""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import Tensor

from emotion.checkpoint import load
from emotion.compression import Chains, CompressConfig
from emotion.compression.steps.teacher import Teacher
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.models import Predictor
from emotion.reporting import TrainingReport, merge_run, write_report
from emotion.training import train
from support.compression import config_of
from support.compression_runs import run
from support.files import files_in, sample_rows, write_csv
from support.labels import EMOTION6
from support.predictors import NAMES
from support.training import config_for
from support.training_reports import entry, run_record

pytestmark = pytest.mark.usefixtures("one_thread")


def test_without_weights_the_best_of_the_training_report_is_taken(
    originals: dict[str, Path], csv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="emotion")
    out = tmp_path / "out"
    out.mkdir()
    options = f"output_dir={out}", f"data.validation={csv}", "technique=half"
    with pytest.raises(UserError, match=r"^weights: must be given where there is no report of a training, found no"):
        run(*options)
    training = TrainingReport()
    for kind, macro_f1 in (("minilm", 0.7), ("cardiff", 0.8), ("modernbert", 0.6)):
        shutil.copy(originals[kind], out)
        record = run_record(NAMES[kind], macro_f1)
        merge_run(training, record, entry(record))
    write_report(training, out)
    report = run(*options)
    assert report.model_name == "CardiffRoBERTa"
    assert report.weights.path == str(out / "best_CardiffRoBERTa.pt")
    assert (out / "compression_results" / "CardiffRoBERTa_half.pt").is_file()
    assert f"compressing best_CardiffRoBERTa.pt, the best of {out}" in caplog.text
    (out / "best_CardiffRoBERTa.pt").unlink()
    with pytest.raises(UserError, match=r"^weights: must be a checkpoint file, found no file at .*best_CardiffRoBERTa"):
        run(*options)


def test_without_data_the_recorded_csv_is_taken_if_it_is_unchanged(
    backbones: dict[str, Path], originals: dict[str, Path], tmp_path: Path
) -> None:
    """After a real training, on columns with other names than usual."""
    out = tmp_path / "out"
    csvs = {
        split: write_csv(tmp_path / f"{split}.csv", sample_rows(split, 24), ("tweet", "mood"))
        for split in ("train", "validation")
    }
    columns = "data.text_column=tweet", "data.label_column=mood"
    train(config_for("bertweet", backbones["bertweet"], csvs, out, *columns, "trainer.max_epochs=1"), tmp_path / "run")
    trained = files_in(out)

    report = run(f"output_dir={out}", "technique=half")
    assert report.model_name == "BERTweet"
    assert (report.data.path, report.data.rows) == (str(csvs["validation"]), 24)
    training = json.loads(trained["emotion_classification_report.json"])
    assert report.variants["original"].macro_f1 == training["models"]["BERTweet"]["macro_f1"]
    assert {name: content for name, content in files_in(out).items() if name in trained} == trained

    def refusal(weights: Path) -> str:
        before = files_in(tmp_path)
        with pytest.raises(UserError) as caught:
            run(f"weights={weights}", f"output_dir={out}", "technique=prune")
        assert "\n" not in str(caught.value)
        assert files_in(tmp_path) == before
        return str(caught.value)

    best, validation = out / "best_BERTweet.pt", csvs["validation"]
    instead = "give data.validation=FILE"
    write_csv(validation, sample_rows("validation", 23), ("tweet", "mood"))
    assert refusal(best) == f"data.validation: must be given, as the recorded {validation} is changed; {instead}"
    validation.unlink()
    assert refusal(best) == f"data.validation: must be given, as the recorded {validation} is gone; {instead}"
    none = f"data.validation: must be given, as the checkpoint records none; {instead}"
    assert refusal(originals["minilm"]) == none


@pytest.mark.parametrize("technique", ["prune", "quantize", "combined", "half"])
def test_compressed_weights_are_refused(technique: str, weights: Path, csv: Path) -> None:
    run(f"weights={weights}", f"data.validation={csv}", f"technique={technique}")
    before = files_in(weights.parent)
    small = weights.parent / "compression_results" / f"MiniLM_{technique}.pt"
    for again in ("prune", "quantize"):
        with pytest.raises(UserError, match=r"^weights: must be a fine-tuned FP32 checkpoint, found .*pt") as caught:
            run(f"weights={small}", f"data.validation={csv}", f"technique={again}", f"output_dir={weights.parent}")
        assert "\n" not in str(caught.value)
    assert files_in(weights.parent) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"text\nso happy\n", "must have one column 'label', found 'text'"),
        (b"text,label\nso happy,\n", "column 'label' must hold 0-5 or one of .* found '' in row 2"),
        (b"text,label\n", "must have at least one row"),
        (None, "data.validation: must be a CSV file, found no file at "),
    ],
)
def test_a_csv_without_labels_is_refused_in_one_line_and_nothing_is_written(
    content: bytes | None, words: str, weights: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        run(f"weights={weights}", f"data.validation={tmp_path / 'bad.csv'}")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "bad.csv") in str(caught.value)
    assert list(weights.parent.iterdir()) == [weights]


def chains(original: Predictor, tmp_path: Path, config: CompressConfig) -> Chains:
    validation_csv = write_csv(tmp_path / "validation.csv", sample_rows("validation", 16))
    validation = LabelledTexts.read(str(validation_csv), "text", "label", EMOTION6, "data.validation")
    return Chains(original, validation, config, tmp_path / "run")


def test_unlabelled_texts_must_be_in_the_text_column(originals: dict[str, Path], tmp_path: Path) -> None:
    more = write_csv(tmp_path / "more.csv", [("one more", "")], ("tweet", "mood"))
    config = config_of("technique.steps=[distill]", f"distill.unlabelled={more}")
    with pytest.raises(UserError, match=r"more\.csv: must have one column 'text', found 'tweet', 'mood'"):
        chains(load(originals["minilm"]), tmp_path, config).check(config)


@pytest.mark.parametrize("rows", [[], [("", "a"), ("  ", "b")]])
def test_unlabelled_texts_must_not_all_be_blank(
    rows: list[tuple[str, str]], originals: dict[str, Path], tmp_path: Path
) -> None:
    more = write_csv(tmp_path / "more.csv", rows, ("text", "mood"))
    config = config_of("technique.steps=[distill]", f"distill.unlabelled={more}")
    with pytest.raises(
        UserError, match=r"distill\.unlabelled: must have a text that is not blank, found none in .*more"
    ):
        chains(load(originals["minilm"]), tmp_path, config).check(config)


def test_unlabelled_texts_are_learned_from_and_validation_texts_are_not(
    originals: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    untouched = Teacher.log_probabilities

    def spied(self: Teacher, texts: Sequence[str]) -> Tensor:
        asked.extend(texts)
        return untouched(self, texts)

    monkeypatch.setattr(Teacher, "log_probabilities", spied)
    train_csv = write_csv(tmp_path / "train.csv", sample_rows("train", 16), ("tweet", "label"))
    more = write_csv(tmp_path / "more.csv", [("one more", ""), (" ", ""), ("怒りと喜び", "")], ("tweet", "mood"))
    settings = ["technique.steps=[distill]", "data.text_column=tweet", "distill.max_epochs=1"]
    settings += ["distill.augmented_copies=0", "distill.joined_copies=0"]
    config = config_of(*settings, f"data.train={train_csv}", f"distill.unlabelled={more}")
    original = load(originals["minilm"])
    with caplog.at_level("INFO", "emotion"):
        chains(original, tmp_path, config).apply(config, load(originals["minilm"]))
    training = [text for text, _ in sample_rows("train", 16)]
    assert set(asked) == {*training, "one more", "怒りと喜び"}
    assert "distilling: 18 rows an epoch, 16 of them training texts as they are" in caplog.messages
