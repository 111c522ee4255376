"""Predict files one after the other, or several at a time in processes of this machine."""

import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread

import torch

from emotion.cores import allowed_cores
from emotion.models import Predictor
from emotion.partitions.files import Part
from emotion.partitions.manifest import Entry
from emotion.partitions.work import Task, Work

log = logging.getLogger(__name__)

_TRIES = 3
"""How often processes are started anew after one was killed."""


def here(left: Sequence[Task], work: Work, model: Predictor) -> Iterator[tuple[Part, Entry | str]]:
    """Predict files in this process."""
    for task in left:
        yield task.part, work.outcome(task, model)


def in_processes(left: Sequence[Task], work: Work, workers: int) -> Iterator[tuple[Part, Entry | str]]:
    """Predict files in ``workers`` processes; files of one that was killed are given to others."""
    waiting = list(left)
    threads = max(allowed_cores() // workers, 1)
    for attempt in range(_TRIES):
        finished: set[Part] = set()
        try:
            with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (work, threads)) as pool:
                tasks: dict[Future[Entry | str], Part] = {pool.submit(_outcome, task): task.part for task in waiting}
                for each in as_completed(tasks):
                    outcome = each.result()
                    finished.add(tasks[each])
                    yield tasks[each], outcome
            return
        except BrokenProcessPool:
            waiting = [task for task in waiting if task.part not in finished]
            if attempt + 1 < _TRIES:
                log.warning("a process was killed; %d files are given to others", len(waiting))
    for part, _ in waiting:
        yield (
            part,
            f"{part.source}: was not predicted, as its process was killed {_TRIES} times; is there enough memory?",
        )


_process: tuple[Work, Predictor]


def _begin(work: Work, threads: int) -> None:
    global _process
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _process = work, work.load()


def _end_with_parent() -> None:
    """End this process once its parent was killed: it would wait for more work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _outcome(task: Task) -> Entry | str:
    work, model = _process
    return work.outcome(task, model)
