"""What an output folder holds: a record of each finished file, by which it is not done again."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from emotion.errors import UserError
from emotion.partitions.storage import is_remote, joined, name_of, storage_of

NAME = "_manifest.jsonl"
"""On this machine: a line of JSON a finished file."""
FOLDER = "_manifest"
"""Behind a URL, where nothing can be appended to: a file of JSON a finished file."""
_BEGINNING = '{"source": "'
"""Of each record."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that is predicted."""

    source: str
    """Name of the file that was predicted."""
    target: str
    """Name of the file of its predictions."""
    identity: str
    """Digest of all that the predictions depend on: the source, the model and the settings."""
    sha256: str
    """Of the target."""
    rows: int
    empty_rows: int
    truncated_rows: int
    unfamiliar_rows: int | None
    """None if the model cannot tell."""
    seconds: float
    """From opening the source to the finished target."""
    bytes: int | None = None
    """Of the target; None = unknown, of an earlier version."""


class Manifest:
    """The entries of an output folder, the oldest first.

    An entry is written before its target takes its place, so that a crash leaves no target unknown; a line that a
    crash cut off counts as none.

    Args:
        folder: The output folder.

    Raises:
        UserError: The records there are somebody else's.
    """

    def __init__(self, folder: str) -> None:
        self.folder, self._storage = folder, storage_of(folder)
        self._entries = _read_remote(folder) if is_remote(folder) else _read_local(Path(folder) / NAME)

    def finished(self, target: str, identity: str) -> Entry | None:
        """Return the entry of a target that is there as it was written, for the same work; else None."""
        found = [entry for entry in self._as_written(target) if entry.identity == identity]
        return found[0] if found else None

    def require_ours(self, target: str) -> None:
        """Raise :class:`UserError` if a file is there that no entry knows."""
        if self._storage.exists(target) and not self._as_written(target):
            raise UserError(
                f"output: {target} was not written by this program, or changed since; choose another folder"
            )

    def _as_written(self, target: str) -> list[Entry]:
        entries = [entry for entry in self._entries if entry.target == name_of(target)]
        return [entry for entry in entries if self._storage.is_as_written(target, entry.sha256, entry.bytes)]


def append(folder: str, entry: Entry) -> None:
    """Add an entry in one write, so that several processes may do so; it ends a line that was cut off."""
    record = json.dumps(asdict(entry)) + "\n"
    if is_remote(folder):
        place = joined(folder, f"{FOLDER}/{entry.target}.json")
        with storage_of(folder).written(place) as written:
            written.write_text(record, encoding="utf-8")
        return
    path = Path(folder) / NAME
    if path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        record = "\n" + record
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(file, record.encode())
    finally:
        os.close(file)


def _read_local(path: Path) -> list[Entry]:
    entries = list[Entry]()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for line in lines:
        entry = _parsed(line)
        if entry is not None:
            entries.append(entry)
        elif not entries and line[: len(_BEGINNING)] != _BEGINNING[: len(line)]:  # it was not cut off
            raise UserError(f"output: {path} was not written by this program; choose another folder")
    return entries


def _read_remote(folder: str) -> list[Entry]:
    storage, entries = storage_of(folder), list[Entry]()
    for path in storage.files(joined(folder, f"{FOLDER}/*.json")):
        entry = _parsed((storage.read(path) or b"").decode("utf-8", "replace"))
        if entry is None:
            raise UserError(f"output: {path} was not written by this program; choose another folder")
        entries.append(entry)
    return entries


def _parsed(record: str) -> Entry | None:
    try:
        return Entry(**json.loads(record))
    except (ValueError, TypeError):
        return None
