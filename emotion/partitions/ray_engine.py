"""Predict files on a Ray cluster, or on a local instance of Ray: a pool of actors, each with a model of its own."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch

from emotion.errors import UserError, first_line
from emotion.isolation import log_level
from emotion.partitions.files import Part
from emotion.partitions.manifest import Entry
from emotion.partitions.work import Task, Work
from emotion.ray_cluster import ray_cluster


def require_ray() -> None:
    """Raise :class:`UserError` if Ray is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise UserError(f'engine=ray needs Ray, found no {error.name}: pip install -e ".[ray]"') from error


def in_ray(left: Sequence[Task], work: Work, workers: int, address: str | None) -> Iterator[tuple[Part, Entry | str]]:
    """Predict files in ``workers`` actors of one core each, in any order; files of a lost actor go to another.

    What is done is known by file, not by Ray's blocks, which differ from run to run.

    Args:
        left: The files; all nodes see them and their targets under the same paths.
        work: What to do with each.
        workers: Actors.
        address: Of a cluster, such as ``ray://host:10001``, or ``auto`` for the one that this machine is part of;
            None = an instance of Ray on this machine, for these files alone.

    Raises:
        UserError: There is no such cluster, or it was lost.
    """
    import ray.data
    import ray.exceptions

    class Worker:
        """Has no arguments, as Ray cannot replace an actor whose arguments are lost; this class is sent by value."""

        def __init__(self) -> None:
            torch.set_num_threads(1)
            self.model = work.load()

        def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
            places: list[int] = batch["place"].tolist()
            outcomes = [work.outcome(left[place], self.model) for place in places]
            lines = [one if isinstance(one, str) else json.dumps(asdict(one)) for one in outcomes]
            return {"place": places, "is_done": [isinstance(one, Entry) for one in outcomes], "line": lines}

    with ray_cluster(workers, address, "address"), _without_bars():
        outcomes = ray.data.from_items(
            [{"place": place} for place in range(len(left))], override_num_blocks=len(left)
        ).map_batches(
            Worker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(left))),
            num_cpus=1,
        )
        try:
            for row in outcomes.iter_rows():
                line = row["line"]
                yield left[row["place"]].part, Entry(**json.loads(line)) if row["is_done"] else line
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise UserError(
                f"engine: must have a Ray cluster until all is done, found {first_line(error)}; the same command does"
                " what is missing"
            ) from error


@contextmanager
def _without_bars() -> Iterator[None]:
    """Leave out Ray Data's own progress bars and messages."""
    import ray.data

    context = ray.data.DataContext.get_current()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        with log_level("ray.data", logging.ERROR):
            yield
    finally:
        context.enable_progress_bars = bars
