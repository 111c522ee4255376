"""A device's threads are those that are allowed; if its memory runs out, the error is one line."""

import os

import numpy as np
import pytest
import torch

from emotion.errors import UserError
from emotion.models import batch_size_blamed, pick_device

BLAME = "^data.batch_size: must fit into this machine's memory, found 512; try data.batch_size=256$"


def test_a_batch_that_does_not_fit_into_memory_is_named() -> None:
    with pytest.raises(UserError, match=BLAME), batch_size_blamed("data.batch_size", 512):
        torch.empty(2**55)
    with pytest.raises(UserError, match=BLAME), batch_size_blamed("data.batch_size", 512):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(UserError, match=BLAME), batch_size_blamed("data.batch_size", 512):
        np.empty(2**55)
    with pytest.raises(UserError, match="found 1; try a smaller model"), batch_size_blamed("data.batch_size", 1):
        torch.empty(2**55)


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"), batch_size_blamed("data.batch_size", 512):
        raise RuntimeError("size mismatch")


def test_no_more_threads_are_used_than_cores_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """joblib reads affinity and a container's quota; its own variable stands for both here."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
        if (os.cpu_count() or 1) > 1:
            pick_device("cpu")
            assert torch.get_num_threads() == 2
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
        pick_device("cpu")
        assert torch.get_num_threads() == 1
        torch.set_num_threads(3)
        monkeypatch.setenv("OMP_NUM_THREADS", "3")  # somebody knows better
        pick_device("cpu")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
