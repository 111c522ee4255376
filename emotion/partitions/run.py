"""Predict many files into a folder; started again, do what is missing."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from emotion.errors import UserError
from emotion.files import sha256
from emotion.isolation import isolated
from emotion.jobs import job_identity
from emotion.models import Predictor
from emotion.partitions.engines import here, in_processes
from emotion.partitions.files import Part, find_parts
from emotion.partitions.manifest import Entry, Manifest
from emotion.partitions.ray_engine import in_ray, require_ray
from emotion.partitions.storage import is_remote, resolved, storage_of
from emotion.partitions.work import Task, Work
from emotion.prediction import AddedColumns, PredictConfig
from emotion.prediction.unfamiliar import USUAL_SHARE
from emotion.progress import progress_bar

log = logging.getLogger(__name__)

_LOCK = ".emotion.lock"


@dataclass(frozen=True, slots=True)
class PartitionedPrediction:
    """What was predicted."""

    folder: str
    """A path or URL."""
    done: tuple[Entry, ...]
    """The files that were predicted now."""
    kept: int
    """Files that had been predicted before."""
    failed: dict[str, str]
    """Why a file could not be predicted, by its name."""


@isolated()
def predict_partitions(config: PredictConfig) -> PartitionedPrediction:
    """Predict the files that ``config.csv`` names, one file of predictions each, in the folder ``config.output``.

    A file that cannot be predicted leaves the others alone. What the folder's manifest holds, of the same file, model
    and settings, is not done again.

    Raises:
        UserError: The model cannot be used, or there are files in the folder that are not ours.
    """
    if config.output is None:
        raise UserError(f"output: must be a folder where csv names several files, found none for {config.csv}")
    folder, storage = config.output, storage_of(config.output)
    if storage.exists(folder) and not storage.is_folder(folder):
        raise UserError(f"output: must be a folder where csv names several files, found {folder}")
    parts = find_parts(config.csv, config.output, config.format)
    if config.engine == "ray":
        require_ray()
    work = Work(config, AddedColumns.of(config))
    model = work.load()
    if {resolved(part.source) for part in parts} & {resolved(part.target) for part in parts}:
        raise UserError(f"output: must be another folder than that of the files, found {folder}")
    storage.require_writable(folder)
    with _alone_in(folder):
        known = Manifest(folder)
        for part in parts:
            known.require_ours(part.target)
        weights, settings = sha256(Path(config.weights)), [asdict(work.columns), config.text_column, config.batch_size]
        sources = storage_of(config.csv)
        tasks = [Task(part, job_identity(sources.identity(part.source), weights, settings)) for part in parts]
        left = [task for task in tasks if known.finished(task.part.target, task.identity) is None]
        done, failed = _predict(left, work, model)
    found = PartitionedPrediction(folder, tuple(done), len(parts) - len(left), failed)
    _warn(found, model)
    return found


def _predict(left: Sequence[Task], work: Work, model: Predictor) -> tuple[list[Entry], dict[str, str]]:
    done, failed = list[Entry](), dict[str, str]()
    with progress_bar() as progress:
        task = progress.add_task(f"{model.model_name} predicts files", total=len(left))
        for part, outcome in _outcomes(left, work, model):
            if isinstance(outcome, Entry):
                done.append(outcome)
            else:
                failed[part.name] = outcome
                log.error("%s", outcome)
            progress.advance(task)
    return done, failed


def _outcomes(left: Sequence[Task], work: Work, model: Predictor) -> Iterator[tuple[Part, Entry | str]]:
    """Yield each file as soon as it is predicted, with its entry, or why it could not be."""
    config = work.config
    if not left:
        return iter(())
    if config.engine == "ray":
        return in_ray(left, work, config.workers, config.address)
    return here(left, work, model) if config.workers == 1 else in_processes(left, work, config.workers)


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Keep other predictions out of a folder on this machine; behind a URL there are no locks."""
    try:
        with nullcontext() if is_remote(folder) else FileLock(Path(folder) / _LOCK, timeout=0):
            yield
    except Timeout as error:
        raise UserError(
            f"output: must be a folder that no other prediction writes into, found {folder} in use"
        ) from error


def _warn(found: PartitionedPrediction, model: Predictor) -> None:
    rows = sum(entry.rows for entry in found.done)
    empty, cut = (sum(getattr(entry, name) for entry in found.done) for name in ("empty_rows", "truncated_rows"))
    if empty:
        log.warning("%d rows have no text; they are predicted, and marked in empty_text", empty)
    if cut:
        log.warning("%d texts have more than %d tokens; only the first are read", cut, model.max_length)
    strange = sum(entry.unfamiliar_rows or 0 for entry in found.done)
    if rows and strange > 2 * USUAL_SHARE * rows:
        log.warning(
            "%.0f %% of the rows are unlike the text that %s was fitted to (%.0f %% would be usual); expect more"
            " mistakes",
            *(100 * strange / rows, model.model_name, 100 * USUAL_SHARE),
        )
