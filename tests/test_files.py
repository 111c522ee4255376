"""Files are replaced whole or not at all, and only where they are ours."""

import errno
import hashlib
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from emotion.errors import UserError, of_file
from emotion.files import atomic, marked, require_ours, require_unchanged, require_writable, sha256

Writer = Callable[[Path], AbstractContextManager[Path]]


def test_sha256_is_that_of_the_bytes(tmp_path: Path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_atomic_replaces_only_once_the_block_has_ended(tmp_path: Path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with atomic(path) as temporary:
        assert temporary.parent == path.parent  # a rename is atomic only within a file system
        assert temporary.suffix == path.suffix
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def _fail_halfway(path: Path, error: type[BaseException], write: Writer = atomic) -> None:
    with write(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_atomic_keeps_the_old_file_when_the_block_fails(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(error):
        _fail_halfway(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_leaves_no_file_where_there_was_none(tmp_path: Path):
    with pytest.raises(RuntimeError):
        _fail_halfway(tmp_path / "new.csv", RuntimeError)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_do_not_share_a_temporary_file(tmp_path: Path):
    path = tmp_path / "out.csv"
    with atomic(path) as first, atomic(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_ours_is_refused_and_kept(tmp_path: Path):
    path = tmp_path / "notes.csv"
    path.write_text("mine")
    with pytest.raises(UserError, match=r"^output: .*notes\.csv exists and was not written by this program"):
        require_ours(path, lambda found: found.read_text() == "ours", "output")
    assert path.read_text() == "mine"
    path.write_text("ours")
    require_ours(path, lambda found: found.read_text() == "ours", "output")


def test_a_folder_is_never_ours_and_a_free_path_is_accepted(tmp_path: Path):
    with pytest.raises(UserError, match="exists and was not written"):
        require_ours(tmp_path, lambda _: True, "output")
    require_ours(tmp_path / "nothing", lambda _: False, "output")


def mark(path: Path, text: str) -> None:
    with marked(path, "output") as temporary:
        temporary.write_text(text)


def test_what_was_written_is_recognised_until_it_is_changed(tmp_path: Path):
    path = tmp_path / "out.csv"
    for text in ("a", "b", "b", "c"):
        mark(path, text)
        require_unchanged(path, "output")
    path.write_text("c, and what I added")
    with pytest.raises(UserError, match=r"^output: .*out\.csv was changed or replaced since this program wrote it"):
        require_unchanged(path, "output", is_earlier=lambda _: True)
    path.unlink()
    require_unchanged(path, "output")
    path.mkdir()
    with pytest.raises(UserError, match="was changed or replaced"):
        require_unchanged(path, "output")


def test_an_output_without_a_note_is_ours_only_where_an_earlier_version_may_have_written_it(tmp_path: Path):
    path = tmp_path / "out.csv"
    path.write_text("earlier")
    with pytest.raises(UserError, match="exists and was not written by this program"):
        require_unchanged(path, "output")
    require_unchanged(path, "output", is_earlier=lambda found: found.read_text() == "earlier")


def test_a_crash_between_the_note_and_the_file_leaves_the_old_file_recognised(tmp_path: Path):
    path = tmp_path / "out.csv"
    mark(path, "old")
    code = """
import os, sys
from pathlib import Path
from emotion.files import marked
path = Path(sys.argv[1])
sys.addaudithook(lambda event, args: event == "os.rename" and Path(args[1]) == path and os._exit(9))
with marked(path, "output") as temporary:
    temporary.write_text("new")
"""
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert path.read_text() == "old"
    require_unchanged(path, "output")
    mark(path, "newer")
    require_unchanged(path, "output")


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path):
    path = tmp_path / "out.csv"

    def write() -> None:
        with marked(path, "output") as temporary:
            temporary.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(UserError, match=r"^output: .*out\.csv exists and was not written by this program"):
        write()
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"out.csv": "theirs"}


def test_a_failure_leaves_file_and_note_as_they_were(tmp_path: Path):
    path = tmp_path / "out.csv"
    mark(path, "old")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(RuntimeError):
        _fail_halfway(path, RuntimeError, lambda target: marked(target, "output"))
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path):
    require_writable(tmp_path / "a" / "b", "output_dir")
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"^output_dir: must be a writable folder, found .*file.* \(.+\)$"):
            require_writable(folder, "output_dir")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_full_disk_is_named_by_the_file_that_was_to_be_written(tmp_path: Path):
    def fill() -> None:
        with atomic(tmp_path / "model.pt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        fill()
    assert of_file(caught.value) == f"{tmp_path / 'model.pt'}: must be usable, found: No space left on device"
    assert list(tmp_path.iterdir()) == []
