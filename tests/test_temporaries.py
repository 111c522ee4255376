"""What killed processes left is removed by the next one, and nothing else is."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotion.files import atomic
from emotion.temporaries import temporary_folder

WRITE = """
import sys
from pathlib import Path
from emotion.files import atomic
from emotion.temporaries import temporary_folder
with atomic(Path(sys.argv[1])) as temporary, temporary_folder() as folder:
    temporary.write_text("half")
    (folder / "tokenizer.json").write_text("half")
    print(temporary, folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing ``[a]*.csv``; it has said so."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "system"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "system"))
    (tmp_path / "system").mkdir()
    command = [sys.executable, "-c", WRITE, str(tmp_path / "[a]*.csv")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def write(path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text("whole")
    with temporary_folder():
        pass


def test_the_next_writer_removes_what_a_killed_one_left(writer: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "[a]*.csv"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(list(tmp_path.iterdir())) == 2, "the temporary file and the system's folder"
    others = [tmp_path / name for name in (".[a]*.csv", ".b.0123abcd.csv", ".[a]*.0123abcd.pt", "[a]*.0123abcd.csv")]
    for other in others:
        other.write_text("theirs")
    write(path)
    assert set(tmp_path.iterdir()) == {path, tmp_path / "system", *others}
    assert list((tmp_path / "system").iterdir()) == []
    assert path.read_text() == "whole"


def test_a_writer_that_lives_is_left_alone(writer: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "[a]*.csv"
    write(path)
    assert path.read_text() == "whole"
    assert len(list((tmp_path / "system").iterdir())) == 1
    writer.communicate("")
    assert writer.returncode == 0
    assert path.read_text() == "half", "the later writer wins"
    assert list((tmp_path / "system").iterdir()) == []
