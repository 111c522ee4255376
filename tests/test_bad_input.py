"""A user's mistake gives one line that names the key or file, the rule and what was found; nothing is written."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from emotion.config import PROJECT, compose_config, resolve
from emotion.errors import UserError
from emotion.prediction import PredictConfig, predict_csv
from emotion.training import TrainConfig, train
from support.command_server import Commands
from support.files import files_in, sample_rows, write_csv


def run_script(script: str, folder: Path, *overrides: str) -> tuple[list[str], set[str]]:
    """Run a script that must fail; return its lines on stderr and the modules that it imported."""
    before = files_in(folder)
    command = [sys.executable, "-X", "importtime", str(PROJECT / "scripts" / script), *overrides]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    imports = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in imports}
    assert "emotion.cli" in modules  # otherwise the list proves nothing
    assert files_in(folder) == before
    return [line for line in done.stderr.splitlines() if not line.startswith("import time:")], modules


@pytest.mark.parametrize(
    ("script", "overrides", "parts"),
    [
        ("train.py", ["+typo=1"], ["typo"]),
        ("train.py", ["trainer.max_epoch=3"], ["max_epoch", "trainer"]),
        ("train.py", ["trainer.max_epochs=ten"], ["trainer.max_epochs: must be a whole number >= 1, found 'ten'"]),
        ("train.py", ["data.batch_size=0"], ["data.batch_size: must be a whole number >= 1, found 0"]),
        ("train.py", ["model=nope"], ["model/nope", "bertweet", "cardiff", "minilm", "modernbert"]),
        ("train.py", ["data=csv"], ["data.train: a value is required, found none"]),
        ("train.py", ["data.train=mine.csv"], ["data.validation: must be given together with data.train", "mine.csv"]),
        ("predict.py", ["csv=a.csv"], ["weights: a value is required, found none"]),
        ("predict.py", ["weights=a.pt", "csv=a.csv", "accelerator=tpu"], ["accelerator: must be one of", "'tpu'"]),
        ("compress.py", ["technique=nope"], ["technique/nope", "all", "combined", "prune", "quantize"]),
        ("train.py", ["data=true"], ["data: must be one of csv, sample, found true"]),
        ("train.py", ["trainer=float(1)"], ["trainer: must be one of", "found float(1)"]),
        ("train.py", ["+data=1_000"], ["data: must be one of csv, sample, found 1_000"]),
        ("train.py", ["=1"], ["=1: must be KEY=VALUE"]),
        ("train.py", ["model=${oc.env:NOT_THERE}"], ["model: Error resolving interpolation '${oc.env:NOT_THERE}'"]),
        ("train.py", ["@seed=1"], ["@seed=1: must be KEY=VALUE"]),
        ("train.py", ["--resolve"], ["--resolve: must be given with --cfg or --help"]),
        ("train.py", ["hydra.job_logging.version=7"], ["hydra: must have settings that Hydra can use"]),
        ("train.py", ["hydra.verbose=[1]"], ["hydra: must have settings that Hydra can use, found A logger name"]),
        ("train.py", ["--package", "data"], ["--package: must be given with --cfg, found it alone"]),
        ("train.py", ["--experimental-rerun", "job.pickle"], ["--experimental-rerun: must not be given", "job.pickle"]),
        ("train.py", ["seed=" + "9" * 5000], ["999...: must be KEY=VALUE or KEY='ANY TEXT', found Exceeds the limit"]),
        ("train.py", ["seed=" + "[" * 4000], ["[[...: must be KEY=VALUE or KEY='ANY TEXT', found "]),
        (
            "train.py",
            ["seed=🙂"],
            ["seed=🙂: must be KEY=VALUE or KEY='ANY TEXT', found a character that needs quotes"],
        ),
        ("train.py", ["seed=two\nlines"], [r"seed=two\nlines: must be KEY=VALUE"]),
        ("train.py", [""], ["'': must be KEY=VALUE or"]),
        ("train.py", ["seed=nope(1)"], ["seed=nope(1): must be KEY=VALUE", "found Unknown function 'nope'"]),
        ("train.py", ["seed=${missing}"], ["error: seed: Interpolation key 'missing' not found"]),
        ("train.py", ["-m", "seed=range(1,1000000000)"], ["seed=range(1,1000000000): must be at most 1000 values"]),
        ("train.py", ["-m", "seed=shuffle(range(1,1000000000))"], ["must be at most 1000 values, found more"]),
        ("train.py", ["-m", "seed=range(0,99)", "rounds=range(0,99)"], ["-m: must be a sweep of at most 1000 jobs"]),
        ("train.py", ["-m", "seed=range(1,3,0)"], ["seed=range(1,3,0): must be values that can be counted"]),
        ("train.py", ["-m", "seed=range(3,1)"], ["seed=range(3,1): must be at least one value, found none"]),
        ("train.py", ["-m", "model=glob(zz*)"], ["model=glob(zz*): must be at least one value, found none"]),
        ("train.py", ["-m", "seed=interval(0,1)"], ["seed=interval(0,1): must be values that can be counted"]),
        ("predict.py", ["weights='\x1b[31mred'", "csv=b", "batch_size='\x1b[31m'"], ["batch_size: must be"]),
        ("predict.py", ["weights=a.pt", "csv=b", "probabilities=1_000"], ["probabilities: must be true or false"]),
        ("train.py", ["compile=${now:%Y}"], ["compile: must be true or false, found '20"]),
        ("train.py", ["seed"], ["seed"]),
        ("predict.py", ["weights=a.pt", "csv=b", "output=''"], ["output: must be text that is not empty"]),
        ("compress.py", ["prune.amount=1"], ["prune.amount: must be a share between 0 and 1", "found 1"]),
    ],
)
def test_a_bad_config_fails_in_one_line_and_without_torch(
    tmp_path: Path, script: str, overrides: list[str], parts: list[str]
):
    lines, modules = run_script(script, tmp_path, *overrides)
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert lines[0].isprintable()
    assert lines[0].count("found A logger name") < 2
    assert [part for part in parts if part not in lines[0]] == []
    assert not {"torch", "transformers", "lightning"} & modules


def test_names_are_printed_without_their_line_breaks_and_terminal_codes(commands: Commands, tmp_path: Path):
    done = commands.run("compress", tmp_path, "weights='two\nlines \x1b[31mred'")
    expected = r"error: weights: must be a checkpoint file, found no file at two\nlines \x1b[31mred"
    assert (done.code, done.err) == (1, f"{expected}\n")


def test_the_classic_interface_refuses_wrong_arguments_in_two_lines(tmp_path: Path):
    for arguments in (["--mode", "nope"], ["--gpu", "one"], ["--bogus"], ["--mode", "inference"]):
        command = [sys.executable, str(PROJECT / "emotion_classifier.py"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        usage, error = done.stderr.splitlines()
        assert usage.startswith("usage: emotion_classifier.py ")
        assert ": error: " in error


def test_bad_files_fail_in_one_line(commands: Commands, tmp_path: Path):
    good = write_csv(tmp_path / "good.csv", sample_rows(limit=3))
    bad = write_csv(tmp_path / "bad.csv", [("a", 1), ("b", "hapy")])
    (tmp_path / "file").write_text("")
    cases = [
        ("train", f"data.train={bad} data.validation={good}", f"{bad}: column 'label' must hold 0-5 or one of"),
        ("train", "output_dir=file/below", "output_dir: must be a writable folder, found file/below"),
        ("predict", f"csv={good} weights=gone.pt", "weights: must be a checkpoint file, found no file at gone.pt"),
        ("compress", "weights=gone.pt", "weights: must be a checkpoint file, found no file at gone.pt"),
    ]
    before = files_in(tmp_path)
    for command, overrides, start in cases:
        done = commands.run(command, tmp_path, *overrides.split())
        assert done.code == 1
        assert done.err.count("\n") == 1, done.err
        assert done.err.startswith(f"error: {start}")
        assert files_in(tmp_path) == before


BAD_CSVS = [
    pytest.param(None, "data.train: must be a CSV file, found no file at {path}", id="missing file"),
    pytest.param(b"", "{path}: must have a header and rows, found an empty file", id="empty"),
    pytest.param(b"text,label\n", "{path}: must have at least one row, found only a header", id="header only"),
    pytest.param(b"tweet,label\na,1\n", "{path}: must have one column 'text', found 'tweet', 'label'", id="no text"),
    pytest.param(b"text,mood\na,1\n", "{path}: must have one column 'label', found 'text', 'mood'", id="no label"),
    pytest.param(b"text,label\na,1\nb,6\n", "{path}: column 'label' must hold 0-5 .* found '6' in row 3 ", id="6"),
    pytest.param(b"text;label\na;joy\nb;hapy\n", "{path}: column .* found 'hapy' in row 3 ", id="unknown name"),
    pytest.param(b"text,label\na,b,1\n", "{path}: every row must .* 2 cells.* found 3 in row 2 ", id="surplus"),
    pytest.param(b"text,label\nfine,1\n\x81\xff,2\n", "{path}: must be encoded in UTF-8, .* found none", id="encoding"),
    pytest.param(b"text,label\na\0,1\n", "{path}: must be a text CSV, found a NUL character", id="binary"),
]


@pytest.mark.parametrize(("content", "message"), BAD_CSVS)
def test_training_refuses_a_bad_csv_and_writes_no_file(tmp_path: Path, content: bytes | None, message: str):
    path = tmp_path / "train.csv"
    if content is not None:
        path.write_bytes(content)
    validation = write_csv(tmp_path / "validation.csv", sample_rows("validation", 6))
    before = files_in(tmp_path)
    overrides = [f"data.train={path}", f"data.validation={validation}", f"output_dir={tmp_path / 'out'}"]
    with pytest.raises(UserError, match="^" + message.format(path=re.escape(str(path)))) as caught:
        train(resolve(compose_config("train", overrides), TrainConfig), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == before


def test_training_never_replaces_a_file_that_is_not_ours(tmp_path: Path):
    foreign = tmp_path / "out" / "best_MiniLM.pt"
    foreign.parent.mkdir()
    foreign.write_bytes(b"somebody's own")
    with pytest.raises(UserError, match=r"^output_dir: .*best_MiniLM\.pt exists and was not written by this program"):
        train(resolve(compose_config("train", [f"output_dir={foreign.parent}"]), TrainConfig), tmp_path / "run")
    assert files_in(tmp_path) == {"out/best_MiniLM.pt": b"somebody's own"}


@pytest.fixture
def weights(originals: dict[str, Path]) -> Path:
    """A checkpoint with which prediction works."""
    return originals["minilm"]


def predict(weights: Path, csv: Path, **more: str) -> None:
    overrides = [f"weights={weights}", f"csv={csv}", *(f"{key}={value}" for key, value in more.items())]
    predict_csv(resolve(compose_config("predict", overrides), PredictConfig))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "csv: must be a CSV file, found no file at {path}", id="missing file"),
        pytest.param(b"text,label\n\n", "{path}: must have at least one row, found only a header", id="header only"),
        *(case for case in BAD_CSVS if case.id in ("empty", "no text", "surplus", "encoding", "binary")),
        pytest.param(b'text\na\n"b\nc\n', "{path}: every quote must be closed, found .* in row 3 ", id="quote"),
        pytest.param(b"text,confidence\na,1\n", "{path}: must not have a column 'confidence' yet", id="clash"),
    ],
)
def test_prediction_refuses_a_bad_csv_and_writes_no_file(
    tmp_path: Path, weights: Path, content: bytes | None, message: str
):
    path = tmp_path / "input.csv"
    if content is not None:
        path.write_bytes(content)
    before = files_in(tmp_path)
    with pytest.raises(UserError, match="^" + message.format(path=re.escape(str(path)))) as caught:
        predict(weights, path)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == before


class Malicious:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize(
    "damage", ["missing", "folder", "empty", "half", "no zip", "a pickle", "an object", "no checkpoint"]
)
def test_prediction_refuses_bad_weights_and_writes_nothing(tmp_path: Path, weights: Path, damage: str):
    path = tmp_path / "weights.pt"
    match damage:
        case "folder":
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "half":
            path.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
        case "no zip":
            path.write_bytes(b"text,label\na,1\n")
        case "a pickle":
            path.write_bytes(pickle.dumps(Malicious(tmp_path / "executed")))
        case "an object":
            torch.save({**torch.load(weights, weights_only=True), "metadata": Malicious(tmp_path / "executed")}, path)
        case "no checkpoint":
            torch.save({"weight": torch.ones(2)}, path)
    csv = write_csv(tmp_path / "input.csv", [("a", 1)])
    before = files_in(tmp_path)
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}.*found|found .*{re.escape(str(path))}") as caught:
        predict(path, csv, output=str(tmp_path / "new" / "out.csv"))
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_prediction_refuses_an_output_that_cannot_be_written(tmp_path: Path, weights: Path):
    csv = write_csv(tmp_path / "input.csv", [("a", 1)])
    (tmp_path / "file").write_text("mine")
    before = files_in(tmp_path)
    for output, message in (
        ("file/below/out.csv", r"^output: must be a writable folder, found .*file/below"),
        ("file", r"^output: .*file exists and was not written by this program"),
        (".", r"^output: .* exists and was not written by this program"),
    ):
        with pytest.raises(UserError, match=message):
            predict(weights, csv, output=str(tmp_path / output))
    assert files_in(tmp_path) == before
