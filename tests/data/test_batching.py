"""Batches: each row once, exactly as many updates as promised, and little padding."""

import math

import numpy as np
import pytest

from emotion.data import LengthBucketBatchSampler


def lengths(rows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(3, 90, rows)


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 640, 3217])
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_row_is_in_one_batch_and_the_batches_are_as_few_as_possible(rows: int, shuffle: bool) -> None:
    batches = list(LengthBucketBatchSampler(lengths(rows), 32, shuffle=shuffle))
    assert sorted(row for batch in batches for row in batch) == list(range(rows))
    assert len(batches) == math.ceil(rows / 32)
    sizes = {len(batch) for batch in batches}
    assert max(sizes) <= 32
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("rows", [2, 65, 1001])
@pytest.mark.parametrize("shuffle", [True, False])
def test_replicas_share_the_rows_and_step_equally_often(rows: int, shuffle: bool) -> None:
    shares = [
        list(LengthBucketBatchSampler(lengths(rows), 16, shuffle=shuffle, replica=replica, replicas=2))
        for replica in (0, 1)
    ]
    assert sorted(row for share in shares for batch in share for row in batch) == list(range(rows))
    assert len(shares[0]) == len(shares[1]) == math.ceil(rows / 32)
    assert all(batch for share in shares for batch in share)


def test_every_replica_has_a_row_in_each_batch_even_with_batches_of_one() -> None:
    shares = [
        list(LengthBucketBatchSampler(lengths(5), 1, shuffle=True, replica=replica, replicas=4)) for replica in range(4)
    ]
    assert all(batch for share in shares for batch in share)
    assert sorted(row for share in shares for batch in share for row in batch) == list(range(5))


def test_order_changes_with_the_epoch_and_repeats_with_the_seed() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return list(LengthBucketBatchSampler(lengths(500), 32, shuffle=True, seed=seed, epoch=lambda: epoch))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    epochs = [{frozenset(batch) for batch in order(1, epoch)} for epoch in (0, 1)]
    assert not epochs[0] & epochs[1], "the same rows must not share a batch in every epoch"


def test_little_is_padded() -> None:
    sizes = lengths(16_000)
    padded = sum(len(batch) * sizes[batch].max() for batch in LengthBucketBatchSampler(sizes, 32, shuffle=True))
    assert padded / sizes.sum() < 1.05
