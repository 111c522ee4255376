"""An audit from the CSVs to its report, with the SVM and with a backbone."""

import csv
import json
from pathlib import Path

import pytest

from emotion.audit import AuditConfig, audit
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.reporting import print_audit, read_audit_report
from support.command_server import Commands
from support.files import sample_rows, write_csv


def config_for(csvs: dict[str, Path], folder: Path, *overrides: str) -> AuditConfig:
    given = [f"data.{name}={path}" for name, path in csvs.items()]
    return resolve(compose_config("audit", ["data=csv", *given, f"output_dir={folder}", *overrides]), AuditConfig)


@pytest.fixture
def noisy(tmp_path: Path) -> dict[str, Path]:
    """CSVs whose training rows hold mistakes: row 2 has a wrong label, row 3 contradicts row 4."""
    train = [(text, label) for text, label in sample_rows("train", 400)]
    train[0] = (train[0][0], (train[0][1] + 3) % 6)
    train[1] = (train[2][0], (train[2][1] + 1) % 6)
    validation = [*sample_rows("validation", 40), (train[3][0], (train[3][1] + 1) % 6), ('"a\\", "b\n', 0)]
    return {
        "train": write_csv(tmp_path / "train.csv", train),  # type: ignore[arg-type]
        "validation": write_csv(tmp_path / "validation.csv", validation),  # type: ignore[arg-type]
    }


def test_an_audit_leaves_a_report_and_the_suspect_rows(noisy: dict[str, Path], tmp_path: Path) -> None:
    report = audit(config_for(noisy, tmp_path / "out", f"data.test={noisy['validation']}"))
    assert read_audit_report(tmp_path / "out") == report
    assert list(report.files) == list(report.audit.splits) == ["train", "validation", "test"]
    assert report.audit.splits["train"].repeats.conflicting.rows == [{"train": [3, 4]}]
    assert report.audit.overlaps[0].repeats.conflicting.rows == [{"train": [5], "validation": [42]}]
    assert report.audit.dropped_rows == [3, 4, 5]
    assert report.suspects.model == "tfidf_svm"
    assert sum(pair.rows for pair in report.suspects.pairs) == len(report.suspects.rows)
    with (tmp_path / "out" / "suspect_labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["row"]) for row in rows] == report.suspects.rows
    confidences = [float(row["self_confidence"]) for row in rows]
    assert confidences == sorted(confidences)
    with noisy["train"].open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    assert all(row["text"] == texts[int(row["row"]) - 2] for row in rows)
    assert all(row["label"] != row["suggested_label"] for row in rows)
    assert "NaN" not in (tmp_path / "out" / "audit_report.json").read_text()


def test_rows_that_people_edited_are_not_replaced(noisy: dict[str, Path], tmp_path: Path) -> None:
    config = config_for(noisy, tmp_path / "out")
    audit(config)
    audit(config)
    (tmp_path / "out" / "suspect_labels.csv").write_text("mine")
    with pytest.raises(UserError, match=r"output_dir: .*suspect_labels\.csv was changed"):
        audit(config)


@pytest.mark.usefixtures("one_thread")
def test_a_backbone_is_trained_once_a_fold(backbones: dict[str, Path], noisy: dict[str, Path], tmp_path: Path) -> None:
    config = config_for(
        noisy, tmp_path / "out", "model=minilm", f"model.backbone={backbones['minilm']}", "folds=2",
        "trainer.max_epochs=1", "trainer.enable_progress_bar=false", "data.max_length=16", "trainer.accelerator=cpu",
    )  # fmt: skip
    report = audit(config)
    assert (report.suspects.model, report.suspects.folds) == ("MiniLM", 2)
    long_texts = report.audit.splits["train"].long_texts
    assert (long_texts.unit, long_texts.limit) == ("tokens", 16)
    assert len(long_texts.rows) > 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")) == [
        "audit_report.json",
        "suspect_labels.csv",
    ]


def test_the_words_say_what_was_found_and_nothing_else(
    noisy: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_audit(audit(config_for(noisy, tmp_path / "out")), tmp_path / "out")
    printed = capsys.readouterr().out
    assert "1 text of train with another label in validation." in printed
    assert "1 text of train with different labels, in 2 rows." in printed
    assert "data.drop_conflicts=true would leave out 3 rows of training." in printed
    assert "without text" not in printed


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["folds=1"], "folds: must be a whole number >= 2, found 1"),
        (["trainer.ckpt_path=x.ckpt"], "trainer.ckpt_path: must be null in an audit, found x.ckpt"),
        (["model=minilm", "trainer.devices=2", "trainer.accelerator=cpu"], "trainer.devices: must be one device"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    overrides: list[str], message: str, noisy: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        audit(config_for(noisy, tmp_path / "out", *overrides))
    assert str(error.value).startswith(message)
    assert not (tmp_path / "out" / "audit_report.json").exists()


def test_a_foreign_report_is_not_replaced(noisy: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "audit_report.json").write_text(json.dumps({"mine": 1}))
    with pytest.raises(UserError, match=r"audit_report\.json: must have schema_version"):
        audit(config_for(noisy, tmp_path))


def test_the_command_prints_a_summary(commands: Commands, noisy: dict[str, Path], tmp_path: Path) -> None:
    csvs = [f"data.{name}={path}" for name, path in noisy.items()]
    done = commands.run("audit", tmp_path, *csvs)
    assert (done.code, done.err) == (0, "")
    assert "1 text of train with another label in validation." in done.out
    assert (tmp_path / "outputs" / "audit_report.json").is_file()
