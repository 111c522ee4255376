"""Train through ``torch.compile``, and go on without it if it cannot compile."""

import logging
from collections.abc import Callable
from typing import Any

import torch

from emotion.errors import first_line
from emotion.models.fast.guard import stays_plain

log = logging.getLogger(__name__)

GRAPH_LENGTHS = 32
"""Batches are padded to multiples of it if each shape is recorded, so that there are few shapes."""


def padding_multiple(compile: bool, device: torch.device) -> int:
    """Return the number to whose multiples batches should be padded: 1, except in compiled training on a GPU."""
    return GRAPH_LENGTHS if compile and device.type == "cuda" else 1


def compiled(forward: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """Compile ``forward``; if that fails, use ``forward`` itself from then on, with one log line.

    On a GPU, the kernels of each shape are recorded as a CUDA graph and replayed.

    Args:
        forward: A module's bound ``forward``; the names of the module's weights stay as they are.
        device: Where it runs.
    """
    try:
        from torch._dynamo.exc import TorchDynamoException
        from torch._functorch import config as functorch_config

        # Otherwise the backward pass is compiled in the first backward(), where there is nothing left to fall back on.
        functorch_config.force_non_lazy_backward_lowering = True
    except (ImportError, AttributeError) as error:
        stays_plain("compile", f"torch does not say when it cannot compile ({first_line(error)})")
        return forward
    current = torch.compile(forward, mode="reduce-overhead" if device.type == "cuda" else "default")

    def call(**inputs: Any) -> Any:
        nonlocal current
        try:
            return current(**inputs)
        except TorchDynamoException as error:
            if current is forward:
                raise
            reason = first_line(getattr(error, "inner_exception", error))
            log.warning("compile: the model could not be compiled, so it trains without (%s)", reason)
            current = forward
            return forward(**inputs)

    return call
