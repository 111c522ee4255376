"""A folder is replaced as a whole, and only if it is as this program left it."""

import os
from pathlib import Path

import pytest

from emotion.article.output_folder import MARK, replaced_folder
from emotion.errors import UserError


def write(target: Path, **files: str) -> None:
    with replaced_folder(target, "output") as folder:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name != MARK}


def test_a_later_folder_replaces_ours_with_all_its_files(tmp_path: Path) -> None:
    target = tmp_path / "new" / "hub"
    write(target, a="1", b="2")
    write(target, b="3", c="4")
    assert content(target) == {"b": "3", "c": "4"}
    assert list(target.parent.iterdir()) == [target], "nothing else is left"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    write(tmp_path, a="1")
    assert content(tmp_path) == {"a": "1"}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    write(tmp_path / "link", a="1")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "real") == {"a": "1"}


@pytest.mark.parametrize("change", ["edited", "added", "added below", "linked", "unmarked", "foreign mark"])
def test_what_somebody_changed_or_wrote_is_not_replaced(change: str, tmp_path: Path) -> None:
    target = tmp_path / "hub"
    write(target, a="1", b="2")
    if change == "edited":
        (target / "a").write_text("mine", encoding="utf-8")
    elif change == "added":
        (target / "notes.txt").touch()
    elif change == "added below":
        (target / "notes").mkdir()
    elif change == "linked":
        (target / "b").rename(tmp_path / "b")
        (target / "b").symlink_to(tmp_path / "b")
    elif change == "unmarked":
        (target / MARK).unlink()
    else:
        (target / MARK).write_text('{"format": "other", "sha256": {}}', encoding="utf-8")
    before = sorted(path.name for path in target.iterdir())
    with pytest.raises(UserError, match=r"^output: .*(was changed or added|was not written by this program)"):
        write(target, c="3")
    assert sorted(path.name for path in target.iterdir()) == before
    assert not list(tmp_path.glob(".hub*"))


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hub").touch()
    with pytest.raises(UserError, match=r"^output: must be a folder, found the file"):
        write(tmp_path / "hub", a="1")


def test_a_failure_leaves_the_earlier_folder(tmp_path: Path) -> None:
    target = tmp_path / "hub"
    write(target, a="1")
    with pytest.raises(TypeError):
        write(target, a="2", b=None)  # type: ignore[arg-type]
    assert content(target) == {"a": "1"}
    assert list(tmp_path.iterdir()) == [target]


def test_what_somebody_writes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "hub"
    ours = replaced_folder(target, "output")
    ours.__enter__()
    target.mkdir()
    (target / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="was not written by this program"):
        ours.__exit__(None, None, None)
    assert content(target) == {"thesis.txt": "mine"}


def test_the_earlier_folder_comes_back_if_the_new_one_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "hub"
    write(target, a="1")
    rename = os.rename

    def fails_once(source: Path, place: Path) -> None:
        if source.name == "files":
            raise OSError(28, "No space left on device", str(place))
        rename(source, place)

    monkeypatch.setattr(os, "rename", fails_once)
    with pytest.raises(OSError, match="No space left"):
        write(target, a="2")
    assert content(target) == {"a": "1"}


def test_what_a_killed_process_left_is_removed_and_other_folders_are_not(tmp_path: Path) -> None:
    dead = tmp_path / ".hub.0123abcd"
    (dead / "files").mkdir(parents=True)
    (dead / ".lock").touch()
    (tmp_path / ".hub.mine").mkdir()
    write(tmp_path / "hub", a="1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hub.mine", "hub"]
