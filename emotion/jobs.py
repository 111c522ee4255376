"""Remember each job in its own folder, so that the same command, started again, goes on where one ended early.

A job is a training run, a compression, or a sweep of either.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from emotion.errors import UserError
from emotion.files import atomic, sha256

log = logging.getLogger(__name__)

RECORD = "job.json"
_LOCK = ".emotion.job.lock"
_PACKAGES = ("emotion-classifier", "torch", "lightning", "transformers")
"""Other versions may compute something else, so a job is not finished with them."""


def job_identity(*parts: object) -> str:
    """Return a digest of all that a job's result depends on: ``parts``, which JSON can hold, and versions."""
    content = json.dumps([*parts, _versions()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def digests(paths: Iterable[str | None]) -> list[str | None]:
    """Return the digest of each file's content, for :func:`job_identity`; None where there is no file."""
    return [sha256(Path(path)) if path is not None and Path(path).is_file() else None for path in paths]


def _versions() -> dict[str, str]:
    """Return the installed versions; a checkout whose classic file is run need not be installed itself."""
    installed = {}
    for name in _PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    return installed


class Job:
    """A job and its record, ``job.json`` in the job's folder.

    Args:
        folder: The job's own.
        identity: From :func:`job_identity`.
        is_resumed: Whether an earlier process began it.
        lock: The folder's lock, if it is held already.
        notes: What the earlier process noted.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        is_resumed: bool = False,
        lock: FileLock | None = None,
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.folder, self.identity, self.is_resumed = folder, identity, is_resumed
        self.notes: dict[str, Any] = notes or {}
        """What of the work is finished; JSON can hold it."""
        self._lock = lock

    @classmethod
    def claim(cls, folder: Path, identity: str, earlier: Iterable[Path]) -> "Job":
        """Return the newest job of ``identity``, its folder locked, if it ended early; else a new one in ``folder``.

        Args:
            folder: For a new job.
            identity: From :func:`job_identity`.
            earlier: Folders of earlier jobs, the newest first.
        """
        for candidate in earlier:
            if _read(candidate).get("identity") != identity:
                continue
            lock = _locked(candidate)
            if lock is None:
                break
            record = _read(candidate)  # again, as a process that held the lock may have finished meanwhile
            if record.get("identity") != identity or record.get("finished"):
                lock.release()
                break
            return cls(candidate, identity, True, lock, record.get("notes"))
        return cls(folder, identity)

    def note(self, name: str, value: Any) -> None:
        """Note that a part of the work is finished, for a process that goes on with the job."""
        self.notes[name] = value
        self._write(finished=False)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the job, first as unfinished, and as finished once the block ends without an error.

        The folder is locked meanwhile, which tells other processes that the job is alive; the operating system lifts
        the lock however a process ends.

        Raises:
            UserError: Another process is at work in the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self._lock or _locked(self.folder)
        if lock is None:
            raise UserError(
                f"hydra: {self.folder} must be the folder of no other job, found one that is still going on"
            )
        try:
            self._write(finished=False)
            yield
            self._write(finished=True)
        finally:
            lock.release()

    def _write(self, finished: bool) -> None:
        record = {"identity": self.identity, "finished": finished, "notes": self.notes}
        with atomic(self.folder / RECORD) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")


def finished_notes(folder: Path, identity: str) -> dict[str, Any] | None:
    """Return the notes of the finished job of ``identity`` in ``folder``; None if it holds no such job."""
    record = _read(folder)
    if record.get("identity") != identity or not record.get("finished"):
        return None
    notes: dict[str, Any] = record.get("notes") or {}
    return notes


def earlier_folders(folder: Path) -> list[Path]:
    """List the folders in which a job of the same command may have ended early, the newest first.

    Args:
        folder: The job's own: ``.../DATE/TIME``, beside those of earlier jobs, or one of the user's choice.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", folder.parent.name):
        return [folder]
    earlier = folder.parent.parent.glob(f"*-*-*/*/{RECORD}")
    return sorted((path.parent for path in earlier if path.parent != folder), reverse=True)


def _locked(folder: Path) -> FileLock | None:
    """Lock a job's folder; return None if another process holds it, or it is not ours to write in."""
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return None
    return lock


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Copy what the package logs within the block to ``path``, in the form of Hydra's log files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"))
    package = logging.getLogger("emotion")
    level = package.level
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
        handler.close()
