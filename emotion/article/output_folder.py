"""Replace a folder as a whole, and only one that this program wrote and nobody changed.

The folder holds the digests of its files in :data:`MARK`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotion.errors import UserError
from emotion.files import require_writable, sha256
from emotion.temporaries import temporary_folder

MARK = ".emotion.export.json"
_FORMAT = "emotion-export"


@contextmanager
def replaced_folder(target: Path, key: str) -> Iterator[Path]:
    """Yield an empty folder; it takes the place of ``target`` if the block ends without an error.

    Readers see the old folder or the whole new one, and none at all for the moment between two renames. A process that
    is killed in that moment leaves no folder at ``target``.

    Args:
        target: The folder to write; its parents are made.
        key: Key of the setting that names it.

    Raises:
        UserError: As :func:`require_replaceable`, before the block and again after it.
    """
    target = target.resolve()
    require_replaceable(target, key)
    require_writable(target.parent, key)
    with temporary_folder(beside=target) as folder:
        yield folder
        _mark(folder)
        _sync(folder)
        require_replaceable(target, key)
        earlier = folder.with_name("replaced")  # removed with the temporary folder
        if target.exists():
            os.rename(target, earlier)
        try:
            os.rename(folder, target)
        except OSError:
            if earlier.exists():
                os.rename(earlier, target)
            raise


def require_replaceable(folder: Path, key: str) -> None:
    """Refuse a folder that is there, unless it is empty or, byte for byte, what :func:`replaced_folder` wrote.

    Raises:
        UserError: There is a file instead, or a folder with files that were changed, added or written by others.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{key}: must be a folder, found the file {folder}")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    if not found:
        return
    digests = _marked_digests(folder / MARK)
    if digests is None:
        raise UserError(f"{key}: {folder} exists and was not written by this program; move it or choose another place")
    changed = [name for name in sorted(found - {MARK}) if not _is(folder / name, digests.get(name))]
    if changed:
        raise UserError(
            f"{key}: {changed[0]} in {folder} was changed or added since this program wrote the folder; move it or"
            " choose another place"
        )


def _is(path: Path, digest: str | None) -> bool:
    return digest is not None and path.is_file() and not path.is_symlink() and sha256(path) == digest


def _mark(folder: Path) -> None:
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*"))}
    content = {"format": _FORMAT, "schema_version": 1, "sha256": digests}
    (folder / MARK).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _marked_digests(mark: Path) -> dict[str, str] | None:
    """Return the digests by name that a mark holds; None if it is not ours."""
    try:
        content: Any = json.loads(mark.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("format") != _FORMAT or not isinstance(content.get("sha256"), dict):
        return None
    return {str(name): str(digest) for name, digest in content["sha256"].items()}


def _sync(folder: Path) -> None:
    """Make the files outlast a power failure before the folder gets its name."""
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
