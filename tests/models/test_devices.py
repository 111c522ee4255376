"""If memory runs out, the error is one line; other errors are left as they are."""

import numpy as np
import pytest
import torch

from emotion.errors import UserError
from emotion.models import batch_size_blamed

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
