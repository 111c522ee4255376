"""Which model is compressed and on which data, and which of them are refused."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import NAMES, files_in, sample_rows, write_csv
from emotion.checkpoint import load
from emotion.compression.chain import Materials, apply, check
from emotion.compression.sources import read_unlabelled
from emotion.compression.steps.teacher import Teacher
from emotion.data.datamodule import LabelledTexts
from emotion.errors import UserError
from emotion.reporting.schema import TrainingReport
from emotion.reporting.training_report import merge, write_report
from emotion.training.run import train
from support.labels import EMOTION6
from test_chain import config_of
from test_compress import csv, few_timings, run, weights
from test_run import config_for
from test_training_report import entry, run_record

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["csv", "few_timings", "weights"]


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
        merge(training, record, entry(record))
    write_report(training, out)
    report = run(*options)
    assert report.model_name == "CardiffRoBERTa"
    assert report.weights.path == str(out / "best_CardiffRoBERTa.pt")
    assert (out / "compression_results" / "CardiffRoBERTa_half.pt").is_file()
    assert f"compressing best_CardiffRoBERTa.pt, the best of {out}" in caplog.text
    (out / "best_CardiffRoBERTa.pt").unlink()
    with pytest.raises(UserError, match=r"^weights: must be a checkpoint file, found no file at .*best_CardiffRoBERTa"):
        run(*options)


def test_without_data_the_recorded_csv_is_taken_while_it_is_the_same(
    backbones: dict[str, Path], originals: dict[str, Path], tmp_path: Path
) -> None:
    """After a true training, on columns of other names than the usual."""
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
def test_a_csv_without_labels_is_one_line_and_nothing_is_written(
    content: bytes | None, words: str, weights: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        run(f"weights={weights}", f"data.validation={tmp_path / 'bad.csv'}")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "bad.csv") in str(caught.value)
    assert list(weights.parent.iterdir()) == [weights]


def test_unlabelled_texts_come_from_the_text_column(tmp_path: Path) -> None:
    more = write_csv(tmp_path / "more.csv", [("one more", ""), (" ", ""), ("and another", "")], ("tweet", "mood"))
    config = config_of("technique.steps=[distill]", f"distill.unlabelled={more}", "data.text_column=tweet")
    check(config)
    assert read_unlabelled(config) == ["one more", "and another"]
    assert read_unlabelled(config_of()) == []
    with pytest.raises(UserError, match=r"more\.csv: must have one column 'text', found 'tweet', 'mood'"):
        check(config_of("technique.steps=[distill]", f"distill.unlabelled={more}"))


def test_unlabelled_texts_are_learned_from(
    originals: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons: list[list[str]] = []

    def lesson(self: Teacher, train: LabelledTexts, *arguments: Any) -> Any:
        texts, labels = untouched(self, train, *arguments)
        lessons.append(texts)
        return texts, labels

    untouched = Teacher.lesson
    monkeypatch.setattr(Teacher, "lesson", lesson)
    train_csv = write_csv(tmp_path / "train.csv", sample_rows("train", 16))
    more = write_csv(tmp_path / "more.csv", [("one more", ""), ("and another", "")])
    config = config_of(f"data.train={train_csv}", f"distill.unlabelled={more}", "distill.max_epochs=1")
    validation_csv = write_csv(tmp_path / "validation.csv", sample_rows("validation", 16))
    validation = LabelledTexts.read(str(validation_csv), "text", "label", EMOTION6, "data.validation")
    original = load(originals["minilm"])
    apply("distill", load(originals["minilm"]), config, Materials(original, validation, config, tmp_path / "run"))
    training = [text for text, _ in sample_rows("train", 16)]
    assert lessons == [[*training, "one more", "and another"]], "never what quality is measured on"
