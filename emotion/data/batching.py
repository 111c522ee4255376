"""Group rows of similar length into batches, so that little is computed for padding."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

MAX_POOL_BATCHES, MIN_POOLS = 100, 4
"""Rows are sorted within pools of batches: large enough to leave little padding, and several an epoch, so that rows of
a small corpus meet different ones in each epoch."""


class LengthBucketBatchSampler(Sampler[list[int]]):
    """Yields ``ceil(rows / (batch_size * replicas))`` batches an epoch, each row once.

    There are fewer where rows would not suffice for a row of each batch on each replica; a batch may then have a row
    more than ``batch_size``.

    Rows are shuffled, sorted by length within pools of batches, and the batches are shuffled again; without shuffling
    they come by length, longest first. Batches are of equal size, give or take a row, so that no update depends on
    a handful of left-over rows. Each replica takes every ``replicas``-th row of a batch, so all replicas step equally
    often on texts of similar length.

    Args:
        lengths: (rows,), int: tokens of each row; at least ``replicas`` rows.
        batch_size: Most rows of a batch on each replica.
        shuffle: Whether each epoch has a new order, given by ``seed`` and ``epoch()`` alone.
        epoch: Returns the current epoch; called at the start of each pass. The first pass after :meth:`load_state_dict`
            leaves out the batches that were done, if it is of the same epoch.
        replica: This process's place in [0, replicas).
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        epoch: Callable[[], int] = lambda: 0,
        replica: int = 0,
        replicas: int = 1,
    ) -> None:
        self.lengths = lengths
        self.shuffle, self.seed, self.epoch = shuffle, seed, epoch
        self.replica, self.replicas = replica, replicas
        # Limit the batches so that each replica has a row in each, though one may then be too large by a row.
        self.batches = max(1, min(math.ceil(len(lengths) / (batch_size * replicas)), len(lengths) // replicas))

        self._skipped: tuple[int, int] | None = None
        self._place = (0, 0)

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of batches of it that were taken."""
        epoch, batches = self._place
        return {"epoch": epoch, "batches": batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that :meth:`state_dict` counted."""
        self._skipped = state["epoch"], state["batches"]

    def __len__(self) -> int:
        return self.batches

    def rows_of(self, number: int) -> list[int]:
        """Return the rows of the epoch's batch ``number``, from 0, on this replica."""
        rows: list[int] = self._global_batches()[number][self.replica :: self.replicas].tolist()
        return rows

    def __iter__(self) -> Iterator[list[int]]:
        epoch, done = self.epoch(), 0
        if self._skipped is not None:
            done = self._skipped[1] if self._skipped[0] == epoch else 0
            self._skipped = None
        for number, batch in enumerate(self._global_batches()[done:], start=done + 1):
            self._place = epoch, number
            yield batch[self.replica :: self.replicas].tolist()

    def _global_batches(self) -> list[np.ndarray]:
        rows = len(self.lengths)
        if not self.shuffle:
            return _by_length(self.lengths, self.batches)
        rng = np.random.default_rng([self.seed, self.epoch()])
        shuffled = np.array_split(rng.permutation(rows), self.batches)
        batches: list[np.ndarray] = []
        pool_batches = min(MAX_POOL_BATCHES, math.ceil(self.batches / MIN_POOLS))
        for start in range(0, self.batches, pool_batches):
            members = shuffled[start : start + pool_batches]
            pool = np.concatenate(members)
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += np.split(pool, np.cumsum([len(member) for member in members])[:-1])
        return [batches[index] for index in rng.permutation(self.batches)]


def batches_by_length(lengths: np.ndarray, batch_size: int, most_tokens: int | None = None) -> Iterator[list[int]]:
    """Yield the places of rows in batches of similar length, the longest rows first, and equal ones in their order.

    Args:
        lengths: (rows,), int: tokens of each row.
        batch_size: Most rows of a batch, >= 1.
        most_tokens: Most tokens of a batch of several rows, padding included, >= 1; None = any number.
    """
    for batch in _by_length(lengths, math.ceil(len(lengths) / batch_size)):
        rows: list[int] = batch.tolist()
        if most_tokens is None:
            yield rows
            continue
        start = 0
        while start < len(rows):
            end = start + max(1, most_tokens // max(1, int(lengths[rows[start]])))
            yield rows[start:end]
            start = end


def _by_length(lengths: np.ndarray, batches: int) -> list[np.ndarray]:
    """Return the rows in ``batches`` of equal size, give or take a row, the longest first."""
    order = np.argsort(-lengths, kind="stable")
    return np.array_split(order, batches) if batches > 1 else [order][:batches]
