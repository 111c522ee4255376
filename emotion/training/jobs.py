"""Remember each run in its own folder, so that the same command, started again, goes on where a run ended early."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from emotion.data import EmotionDataModule
from emotion.errors import UserError
from emotion.files import atomic
from emotion.training.config import TrainConfig

RECORD = "job.json"
STATE = "checkpoints/last.ckpt"
_LOCK = ".emotion.job.lock"
_PACKAGES = ("emotion-classifier", "torch", "lightning", "transformers")
"""Other versions may compute something else, so a run is not finished with them."""


def job_identity(config: TrainConfig, data: EmotionDataModule) -> str:
    """Return a digest of all that a run's weights depend on: settings, the CSVs' content, and versions."""
    settings = config.model_dump(
        exclude={
            "output_dir": True,
            "resume": True,
            "save_every_minutes": True,
            "data": {"train", "validation"},
            "trainer": {"ckpt_path", "enable_progress_bar", "log_every_n_steps"},
        }
    )
    content = [settings, data.train.sha256, data.validation.sha256, _versions()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    """Return the installed versions; a checkout whose classic file is run need not be installed itself."""
    installed = {}
    for name in _PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    return installed


@contextmanager
def recorded_job(folder: Path, identity: str) -> Iterator[None]:
    """Record a run in its folder, first as unfinished, and as finished once the block ends without an error.

    The folder is locked meanwhile, which tells other processes that the run is alive; the operating system lifts the
    lock however a process ends.

    Raises:
        UserError: Another process is at work in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / _LOCK).acquire(timeout=0)
    except Timeout:
        raise UserError(f"hydra.run.dir: {folder} is the folder of a run that is still going on") from None
    with held:
        _write(folder, {"identity": identity, "finished": False})
        yield
        _write(folder, {"identity": identity, "finished": True})


def unfinished_job(folders: Iterable[Path], identity: str) -> Path | None:
    """Find the folder of the newest run of ``identity``, if it ended early and left a resume state.

    Args:
        folders: Of earlier runs, the newest first.
        identity: From :func:`job_identity`.
    """
    for folder in folders:
        record = _read(folder)
        if record.get("identity") != identity:
            continue
        resumable = not record.get("finished") and (folder / STATE).is_file() and not _is_alive(folder)
        return folder if resumable else None
    return None


def _is_alive(folder: Path) -> bool:
    try:
        with FileLock(folder / _LOCK, timeout=0):
            return False
    except OSError:  # held by another process (a Timeout is one), or not ours to write in
        return True


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(folder: Path, record: dict[str, Any]) -> None:
    with atomic(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
