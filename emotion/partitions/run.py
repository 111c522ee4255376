"""Predict many files into a folder; started again, do what is missing."""

import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.files import require_writable, sha256
from emotion.isolation import isolated
from emotion.jobs import job_identity
from emotion.models import Predictor, pick_device
from emotion.partitions.files import Part, find_parts
from emotion.partitions.manifest import Entry, Manifest
from emotion.partitions.work import predict_part
from emotion.prediction import AddedColumns, PredictConfig
from emotion.prediction.unfamiliar import USUAL_SHARE
from emotion.progress import progress_bar

log = logging.getLogger(__name__)

_LOCK = ".emotion.lock"


@dataclass(frozen=True, slots=True)
class PartitionedPrediction:
    """What was predicted."""

    folder: Path
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
    folder = Path(config.output)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output: must be a folder where csv names several files, found {folder}")
    parts = find_parts(config.csv, config.output, config.format)
    columns = AddedColumns.of(config)
    model = load(config.weights, pick_device(config.accelerator), config.fast)
    same = {part.source.resolve() for part in parts} & {part.target.resolve() for part in parts}
    if same:
        raise UserError(f"output: must be another folder than that of the files, found {folder}")
    require_writable(folder, "output")
    with _alone_in(folder):
        known = Manifest(folder)
        for part in parts:
            known.require_ours(part.target)
        weights, settings = sha256(Path(config.weights)), [asdict(columns), config.text_column, config.batch_size]
        work = [(part, job_identity(sha256(part.source), weights, settings)) for part in parts]
        left = [each for each in work if known.finished(each[0].target.name, each[1]) is None]
        done, failed = _predict(left, config, columns, model)
    found = PartitionedPrediction(folder, tuple(done), len(parts) - len(left), failed)
    _warn(found, model)
    return found


def _predict(
    left: Sequence[tuple[Part, str]], config: PredictConfig, columns: AddedColumns, model: Predictor
) -> tuple[list[Entry], dict[str, str]]:
    done, failed = list[Entry](), dict[str, str]()
    outcomes = _here(left, config, columns, model) if config.workers == 1 else _in_processes(left, config, columns)
    with progress_bar() as progress:
        task = progress.add_task(f"{model.model_name} predicts files", total=len(left))
        for part, outcome in outcomes:
            if isinstance(outcome, Entry):
                done.append(outcome)
            else:
                failed[part.name] = outcome
                log.error("%s", outcome)
            progress.advance(task)
    return done, failed


def _here(
    left: Sequence[tuple[Part, str]], config: PredictConfig, columns: AddedColumns, model: Predictor
) -> Iterator[tuple[Part, Entry | str]]:
    for part, identity in left:
        yield part, _outcome(part, identity, config, columns, model)


def _outcome(part: Part, identity: str, config: PredictConfig, columns: AddedColumns, model: Predictor) -> Entry | str:
    try:
        return predict_part(part, identity, model, columns, config.text_column, config.batch_size)
    except (UserError, OSError) as error:
        return str(error)


_TRIES = 3
"""How often processes are started anew after one was killed."""


def _in_processes(
    left: Sequence[tuple[Part, str]], config: PredictConfig, columns: AddedColumns
) -> Iterator[tuple[Part, Entry | str]]:
    """Predict files in ``config.workers`` processes; files of one that was killed are given to others."""
    waiting = list(left)
    threads = max((os.cpu_count() or 1) // config.workers, 1)
    for attempt in range(_TRIES):
        finished: set[Part] = set()
        try:
            with ProcessPoolExecutor(
                config.workers, multiprocessing.get_context("spawn"), _begin, (config, columns, threads)
            ) as pool:
                tasks: dict[Future[Entry | str], Part] = {pool.submit(_work, *each): each[0] for each in waiting}
                for task in as_completed(tasks):
                    outcome = task.result()
                    finished.add(tasks[task])
                    yield tasks[task], outcome
            return
        except BrokenProcessPool:
            waiting = [each for each in waiting if each[0] not in finished]
            if attempt + 1 < _TRIES:
                log.warning("a process was killed; %d files are given to others", len(waiting))
    for part, _ in waiting:
        yield (
            part,
            f"{part.source}: was not predicted, as its process was killed {_TRIES} times; is there enough memory?",
        )


_process: tuple[PredictConfig, AddedColumns, Predictor]


def _begin(config: PredictConfig, columns: AddedColumns, threads: int) -> None:
    global _process
    torch.set_num_threads(threads)
    _process = config, columns, load(config.weights, pick_device(config.accelerator), config.fast)


def _work(part: Part, identity: str) -> Entry | str:
    config, columns, model = _process
    return _outcome(part, identity, config, columns, model)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / _LOCK, timeout=0):
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
