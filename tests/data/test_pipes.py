"""CSVs that come out of pipes, and what is neither a file nor a pipe."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from emotion import run_inference
from emotion.config import PROJECT
from emotion.data import LabelledTexts, is_stream, open_csv
from emotion.errors import UserError
from emotion.prediction import predict_csv
from support.files import sample_rows, write_csv
from support.labels import EMOTION6
from support.prediction import predict_config, read_rows

pty, resource = pytest.importorskip("pty"), pytest.importorskip("resource")  # of systems that have pipes with names


@contextmanager
def piped(content: bytes, path: Path) -> Iterator[Path]:
    """A pipe with a name, into which another thread writes ``content`` once."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[content])
    writer.start()
    yield path
    writer.join(timeout=60)
    assert not writer.is_alive()


def cells(path: Path | str) -> list[list[str]]:
    return [row for frame in open_csv(path, ("text",), pipe=True).chunks(100) for row in frame.to_numpy().tolist()]


TABLE = [["text", "label"], *([text, str(label)] for text, label in sample_rows("train", 3000))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("name", ["pipe", "pipe.csv.gz"])
def test_a_pipe_gives_the_cells_of_the_file(encoding: str, name: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "input.csv", [(f"{text!a} \u201cé", label) for text, label in TABLE[1:]])
    content = path.read_text(encoding="utf-8").encode(encoding)
    assert len(content) > 100_000, "a pipe holds less at once"
    with piped(gzip.compress(content) if name.endswith("gz") else content, tmp_path / name) as pipe:
        assert cells(pipe) == cells(path)


def test_an_open_file_is_read_by_its_number() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"text,label\na,1\n")
    os.close(writing)
    assert cells(f"/dev/fd/{reading}") == [["a", "1"]]
    os.close(reading)


def test_a_pipe_is_read_by_several_readers_of_one_csv(tmp_path: Path) -> None:
    with piped("\n".join(["text", *map(str, range(1000))]).encode(), tmp_path / "pipe") as pipe:
        file = open_csv(pipe, ("text",), pipe=True)
    one, other = file.chunks(7), file.chunks(7)
    for mine, others in zip(one, other, strict=True):
        assert mine.equals(others)


def test_a_pipe_leaves_no_file_and_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    before = set(os.listdir("/dev/fd"))
    with piped(b"text\na\n", tmp_path / "pipe") as pipe:
        file = open_csv(pipe, ("text",), pipe=True)
        assert len(set(os.listdir("/dev/fd")) - before) == 1
        assert [len(frame) for frame in file.chunks()] == [1]
        del file
    assert set(os.listdir("/dev/fd")) == before
    with piped(b"text\n\0\n", tmp_path / "binary") as pipe, pytest.raises(UserError, match="found a NUL character"):
        open_csv(pipe, ("text",), pipe=True)
    assert set(os.listdir("/dev/fd")) == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_labelled_texts_come_out_of_a_pipe(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "input.csv", TABLE[1:])
    with piped(path.read_bytes(), tmp_path / "pipe") as pipe:
        read = LabelledTexts.read(str(pipe), "text", "label", EMOTION6, "data.train")
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [[text, str(label)] for text, label in zip(read.texts, read.labels, strict=True)] == TABLE[1:]


def test_a_pipe_is_refused_where_it_would_be_read_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/stdin"):
        assert is_stream(path)
        with pytest.raises(UserError, match=rf"^csv: must be a CSV file, found a .* at {path}$"):
            open_csv(path)
    assert not is_stream(tmp_path)
    assert not is_stream(tmp_path / "nothing")


def test_terminals_and_devices_are_not_waited_for() -> None:
    main, terminal = pty.openpty()
    for path in (f"/dev/fd/{terminal}", "/dev/zero", "/dev/null"):
        with pytest.raises(UserError, match=rf"^csv: must be a CSV file, found a terminal or other device at {path}$"):
            open_csv(path, ("text",), pipe=True)
    os.close(main)
    os.close(terminal)
    with pytest.raises(UserError, match=r"^csv: must be a CSV file, found no file at /dev/fd/999$"):
        open_csv("/dev/fd/999", ("text",), pipe=True)


def test_a_pipe_leaves_a_tenth_of_the_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    rule = rf"^csv: must fit into {tempfile.gettempdir()}, where a pipe is kept while it is used, found more than nine"
    with piped(b"text\n" + b"a\n" * 447, tmp_path / "small") as pipe:
        assert len(cells(pipe)) == 447
    with piped(b"text\n" + b"a\n" * 448, tmp_path / "large") as pipe, pytest.raises(UserError, match=rule):
        open_csv(pipe, ("text",), pipe=True)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with piped(b"text\n" + b"a\n" * 500_000, tmp_path / "pipe") as pipe:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(UserError, match=r"^csv: must fit into .*, found: File too large$"):
                open_csv(pipe, ("text",), pipe=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_killed_process_leaves_nothing_of_a_pipe(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from emotion.data import open_csv; open_csv('/dev/stdin', pipe=True)"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(b"text\n" + b"a\n" * 2_000_000)  # beyond what a pipe holds, so most of it was read
        stdin.flush()
        assert process.poll() is None
        process.kill()
        process.wait(timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_a_prediction_from_a_pipe_needs_an_output(originals: dict[str, Path], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "input.csv", TABLE[1:40])
    labels = run_inference(str(originals["minilm"]), str(path))
    assert len(set(labels)) > 1
    with piped(path.read_bytes(), tmp_path / "pipe") as pipe:
        with pytest.raises(UserError, match=f"^output: must be given where csv is a pipe, found none for {pipe}$"):
            run_inference(str(originals["minilm"]), str(pipe))
        options = {"weights": originals["minilm"], "csv": pipe, "output": tmp_path / "out.csv"}
        assert predict_csv(predict_config(**options)).labels == labels
    assert read_rows(tmp_path / "out.csv") == read_rows(tmp_path / "input_predictions.csv")
    with path.open("rb") as file:
        options = {"weights": originals["minilm"], "csv": f"/dev/fd/{file.fileno()}", "output": path}
        with pytest.raises(UserError, match=f"^output: must be another file than csv, found {path}$"):
            predict_csv(predict_config(**options))


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_script_reads_stdin_and_process_substitutions(originals: dict[str, Path], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "input.csv", TABLE[1:40])
    path.with_name("input.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    script = f"{sys.executable} {PROJECT / 'scripts' / 'predict.py'} weights={originals['minilm']}"
    for command, error in {
        f"{script} csv=<(zcat input.csv.gz) output=process.csv": "",
        f"cat input.csv | {script} csv=/dev/stdin output=stdin.csv": "",
        f"{script} csv=/dev/stdin output=none.csv </dev/null": (
            "error: csv: must be a CSV file, found a terminal or other device at /dev/stdin\n"
        ),
    }.items():
        run = ["bash", "-c", command]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (1 if error else 0, error)
    written = [read_rows(tmp_path / f"{name}.csv") for name in ("process", "stdin")]
    assert written[0] == written[1]
    assert [row[:2] for row in written[0]] == TABLE[:40]
    assert not (tmp_path / "none.csv").exists()
