"""Evaluation sets: read once the model is chosen, apart from validation, by training, compression and evaluation."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from emotion.checkpoint import load
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.files import sha256
from emotion.reporting import read_report, read_rows
from emotion.scoring import EvaluateConfig, evaluate_checkpoints
from emotion.training import train
from support.files import sample_rows, write_csv
from support.training import config_for

ROWS = sample_rows("validation", 64)[24:]


@pytest.fixture(scope="module")
def test_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("sets") / "unseen.csv", ROWS)


def evaluation(**settings: object) -> EvaluateConfig:
    composed = compose_config("evaluate", ["accelerator=cpu"])
    for name, value in settings.items():
        composed[name] = value
    return resolve(composed, EvaluateConfig)


def test_training_scores_them_apart_from_validation(
    backbones: dict[str, Path], corpus: dict[str, Path], test_csv: Path, tmp_path: Path
) -> None:
    sets = [f"data.test={test_csv}", f"data.extra={{again: {test_csv}}}"]
    config = config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", "model.learning_rate=0.003", *sets)
    report = train(config, tmp_path / "run")
    assert report is not None
    entry = report.models["MiniLM"]
    assert list(entry.evaluations) == ["test", "again"]
    record = entry.evaluations["test"]
    model = load(tmp_path / "out" / "best_MiniLM.pt")
    labels, predicted = [label for _, label in ROWS], model.predict([text for text, _ in ROWS])
    assert record.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert record.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert record.data.sha256 == sha256(test_csv)
    assert record.predictions is not None
    rows = read_rows(tmp_path / "out" / record.predictions.file)
    assert rows.probabilities.argmax(axis=1).tolist() == predicted
    assert record.intervals is not None
    assert record.intervals.macro_f1.low <= record.macro_f1 <= record.intervals.macro_f1.high
    assert record.calibration is not None
    assert not record.calibration.cross_fitted, "the temperature was fitted on validation"
    assert entry.calibration is not None
    assert entry.calibration.cross_fitted
    assert model.temperature == entry.calibration.temperature
    assert model.metadata["evaluations"]["test"]["macro_f1"] == record.macro_f1

    assert set(entry.baselines) == {"majority", "tfidf_svm"}
    majority = entry.baselines["majority"]
    most = max(set(labels), key=[label for _, label in sample_rows("train", 60)].count)
    assert majority.evaluations["test"].accuracy == pytest.approx(labels.count(most) / len(labels))
    assert majority.difference.difference == pytest.approx(entry.macro_f1 - majority.macro_f1)
    (run,) = report.runs
    assert run.evaluations["test"].macro_f1 == record.macro_f1
    assert run.evaluations["test"].predictions is not None
    assert (tmp_path / "run" / run.evaluations["test"].predictions.file).is_file()

    assert [each.reads for each in entry.evaluations.values()] == [1, 2], "the same file under two names"
    weights = str(tmp_path / "out" / "best_MiniLM.pt")
    again = evaluate_checkpoints(evaluation(weights=weights, csv=str(test_csv)))
    assert again.checkpoints["best_MiniLM"].evaluations["unseen"].reads == 3


def test_without_calibration_and_baselines_there_is_neither(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    settings = ["calibrate=false", "baselines=false", "trainer.max_epochs=1"]
    report = train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", *settings), tmp_path / "run")
    assert report is not None
    entry = report.models["MiniLM"]
    assert entry.baselines == {}
    assert entry.calibration is not None
    assert (entry.calibration.temperature, entry.calibration.cross_fitted) == (1.0, False)
    assert entry.calibration.ece_before == entry.calibration.ece_after
    assert load(tmp_path / "out" / "best_MiniLM.pt").temperature == 1.0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.test=gone.csv", "data.test: must be"),
        ("data.extra={test: a.csv}", "data.extra: must have other names than train, validation, test, found test"),
        ("data.extra={a/b: a.csv}", "data.extra: must be CSVs by name"),
        ("data.extra=a.csv", "data.extra: must be CSVs by name"),
    ],
)
def test_sets_that_cannot_be_used_are_refused_before_training(
    override: str, words: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        train(config_for("minilm", backbones["minilm"], corpus, tmp_path / "out", override), tmp_path / "run")
    assert not (tmp_path / "out").exists()


def test_checkpoints_are_compared_on_the_same_rows(originals: dict[str, Path], test_csv: Path, tmp_path: Path) -> None:
    weights = [str(originals["minilm"]), str(originals["modernbert"])]
    report = evaluate_checkpoints(evaluation(weights=weights, csv={"sample": str(test_csv)}, output_dir=str(tmp_path)))
    assert set(report.checkpoints) == {"best_MiniLM", "best_ModernBERT"}
    (comparison,) = report.comparisons
    scores = {name: entry.evaluations["sample"].macro_f1 for name, entry in report.checkpoints.items()}
    assert comparison.first == max(scores, key=scores.__getitem__)
    difference = scores[comparison.first] - scores[comparison.second]
    assert comparison.difference.difference == pytest.approx(difference)
    assert (comparison.data, comparison.rows) == ("sample", len(ROWS))
    assert (tmp_path / "visualizations" / "best_MiniLM_on_sample_confusion_matrix.png").is_file()

    # A later evaluation of one of them keeps what is known of the other, and of other CSVs.
    other = write_csv(tmp_path / "other.csv", ROWS[:10])
    later = evaluate_checkpoints(evaluation(weights=weights[0], csv=[str(other)], output_dir=str(tmp_path)))
    assert set(later.checkpoints["best_MiniLM"].evaluations) == {"sample", "other"}
    assert len(later.comparisons) == 1


def test_evaluation_refuses_what_it_cannot_use(originals: dict[str, Path], test_csv: Path, tmp_path: Path) -> None:
    weights = str(originals["minilm"])
    twins = [str(test_csv), str(tmp_path / "unseen.csv")]
    with pytest.raises(UserError, match=r"csv: must be files of different names, found unseen, unseen"):
        evaluation(weights=weights, csv=twins)
    unlabelled = write_csv(tmp_path / "no_labels.csv", ROWS[:3], header=("text", "mood"))
    with pytest.raises(UserError, match="label"):
        evaluate_checkpoints(evaluation(weights=weights, csv=str(unlabelled), output_dir=str(tmp_path)))
    with pytest.raises(UserError, match=r"^csv: must be a CSV file, found no file"):
        evaluate_checkpoints(evaluation(weights=weights, csv=str(tmp_path / "gone.csv"), output_dir=str(tmp_path)))
    mine = tmp_path / "predictions" / "best_MiniLM_on_unseen.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UserError, match="was not written by this program"):
        evaluate_checkpoints(evaluation(weights=weights, csv=str(test_csv), output_dir=str(tmp_path)))
    assert mine.read_text() == "mine"
    assert not (tmp_path / "evaluation_reads.json").exists(), "nothing was read"


def test_models_on_the_same_rows_are_compared_in_the_report(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    for kind in ("minilm", "modernbert"):
        settings = ["trainer.max_epochs=1", "baselines=false"]
        train(config_for(kind, backbones[kind], corpus, tmp_path / "out", *settings), tmp_path / kind)
    report = read_report(tmp_path / "out")
    (comparison,) = report.comparisons
    assert comparison.first == report.best_model
    first, second = (report.models[name] for name in (comparison.first, comparison.second))
    assert comparison.difference.difference == pytest.approx(first.macro_f1 - second.macro_f1)
    assert np.isfinite(comparison.difference.standard_error)
