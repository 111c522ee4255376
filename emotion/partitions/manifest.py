"""What an output folder holds: a line of JSON a finished file, by which it is not done again."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from emotion.errors import UserError
from emotion.files import sha256

NAME = "_manifest.jsonl"
_BEGINNING = '{"source": "'
"""Of each line."""


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


class Manifest:
    """The entries of an output folder, the oldest first.

    An entry is written before its target takes its place, so that a crash leaves no target unknown; a line that a
    crash cut off counts as none.

    Args:
        folder: The output folder.

    Raises:
        UserError: The file there is somebody else's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._entries = folder, list[Entry]()
        path = folder / NAME
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                self._entries.append(Entry(**json.loads(line)))
            except (ValueError, TypeError) as error:
                if self._entries or line[: len(_BEGINNING)] == _BEGINNING[: len(line)]:  # it was cut off
                    continue
                raise UserError(f"output: {path} was not written by this program; choose another folder") from error

    def finished(self, target: str, identity: str) -> Entry | None:
        """Return the entry of a target that is there as it was written, for the same work; else None."""
        path = self.folder / target
        digest = sha256(path) if path.is_file() else None
        return next((e for e in self._of(target) if (e.identity, e.sha256) == (identity, digest)), None)

    def require_ours(self, target: Path) -> None:
        """Raise :class:`UserError` if a file is there that no entry knows."""
        if target.exists() and sha256(target) not in [entry.sha256 for entry in self._of(target.name)]:
            raise UserError(
                f"output: {target} was not written by this program, or changed since; choose another folder"
            )

    def _of(self, target: str) -> list[Entry]:
        return [entry for entry in self._entries if entry.target == target]


def append(folder: Path, entry: Entry) -> None:
    """Add an entry in one write, so that several processes may do so; it ends a line that was cut off."""
    path = folder / NAME
    line = json.dumps(asdict(entry)) + "\n"
    if path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        line = "\n" + line
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
