"""A classifier that runs in ONNX Runtime instead of torch."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from itertools import chain, islice
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from transformers import PretrainedConfig

from emotion.data import mapped
from emotion.errors import UserError, first_line
from emotion.models.fast import SLOW_FUSIONS, inference_session

T = TypeVar("T")

BATCH_TOKENS = 128
"""Most tokens of a batch of several texts. One thread computes such a batch faster, token for token, than a larger one,
and the texts of one call become several batches, for as many threads."""


class ClassifierOutput(NamedTuple):
    """The result of a call; transformers' outputs have more fields."""

    logits: Tensor
    """(rows, classes), float32."""
    features: Tensor | None = None
    """(rows, features), float32; None for ONNX models of earlier versions."""


class BatchOutput(NamedTuple):
    """The result for a batch. It is no tensor: for a single text, torch's operators take longer than a small model."""

    logits: np.ndarray
    """(rows, classes), float32."""
    features: np.ndarray | None = None
    """(rows, features), float32; None if they were not asked for, and for ONNX models of earlier versions."""


class OnnxClassifier:
    """An ONNX model on the CPU, called as its :class:`~transformers.PreTrainedModel` would be.

    Args:
        serialized: An ONNX model with the inputs ``input_ids`` and ``attention_mask``, (rows, tokens), int64, and the
            outputs ``logits``, (rows, classes), and, perhaps, ``features``, (rows, features), both float32.
        config: The Hugging Face config of the model that it was exported from.
        fast: Whether to leave out fusions that slow it down.

    Raises:
        UserError: onnxruntime is not installed.
    """

    device = torch.device("cpu")

    def __init__(self, serialized: bytes, config: PretrainedConfig, fast: bool = True) -> None:
        self.serialized, self.config, self.fast = serialized, config, fast
        threads = torch.get_num_threads()
        self._session = self._new_session(threads)
        self._single = self._session if threads == 1 else None
        self._calls, self._lock = 0, Lock()
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.has_features = "features" in self._outputs

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> ClassifierOutput:
        """Compute logits; both inputs are (rows, tokens), int64.

        Raises:
            UserError: The model fails, or returns something else.
        """
        found = self._run(self._session, {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()})
        return ClassifierOutput(*(torch.from_numpy(each) for each in found if each is not None))

    def of_batches(self, batches: Iterable[tuple[T, dict[str, np.ndarray]]]) -> Iterator[tuple[T, BatchOutput]]:
        """Compute what a call of each batch does, in order, several batches at a time, each in one thread.

        Several threads within one batch would wait for each other, and so would those of several calls: one that
        begins while another is at work computes in the thread that it comes from. A batch is taken when it is needed.

        Args:
            batches: Anything that says which batch it is, and the arguments of the call as arrays.
        """
        threads, batches = torch.get_num_threads(), iter(batches)
        with self._counted() as calls:
            first = list(islice(batches, 2))
            if threads == 1 or calls > 1 or len(first) < 2:
                session = self._session if calls == 1 else self._one_thread
                yield from ((name, self._run(session, inputs)) for name, inputs in chain(first, batches))
                return
            session, workers = self._one_thread, _workers(os.getpid(), threads)
            yield from mapped(
                lambda batch: (batch[0], self._run(session, batch[1])), chain(first, batches), workers, threads
            )

    @contextmanager
    def _counted(self) -> Iterator[int]:
        """Count a call while it is at work, and yield how many are."""
        with self._lock:
            self._calls += 1
            calls = self._calls
        try:
            yield calls
        finally:
            with self._lock:
                self._calls -= 1

    @property
    def _one_thread(self) -> Any:
        """The session for several batches at a time, which computes in the thread that calls it."""
        with self._lock:
            if self._single is None:
                self._single = self._new_session(1)
            return self._single

    def _new_session(self, threads: int) -> Any:
        (onnxruntime,) = require_packages("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # errors are raised too, which is enough
        return inference_session(onnxruntime, self.serialized, options, SLOW_FUSIONS if self.fast else ())

    def _run(self, session: Any, inputs: dict[str, np.ndarray]) -> BatchOutput:
        rows = len(inputs["input_ids"])
        try:
            logits, *features = session.run(self._outputs, inputs)
        except Exception as error:  # ONNX Runtime's own kinds are not public
            raise UserError(f"weights: must be an ONNX model that runs, found {first_line(error)}") from error
        expected = (rows, self.config.num_labels)
        if logits.shape != expected or logits.dtype != np.float32:
            found = f"{logits.shape} in {logits.dtype}"
            raise UserError(f"weights: must be an ONNX model that gives logits {expected} in float32, found {found}")
        for each in features:
            if each.ndim != 2 or len(each) != rows or each.dtype != np.float32:
                found = f"{each.shape} in {each.dtype}"
                raise UserError(f"weights: must be an ONNX model that gives features of each text, found {found}")
        return BatchOutput(logits, *features)


@cache
def _workers(_process: int, threads: int) -> ThreadPoolExecutor:
    """Return the threads that all models share; a forked process has none of its parent's."""
    return ThreadPoolExecutor(threads, thread_name_prefix="onnx")


def require_packages(*names: str) -> list[Any]:
    """Import the modules ``names``. Raises :class:`UserError` if one is not installed, or cannot run here."""
    try:
        return [import_module(name) for name in names]
    except ModuleNotFoundError as error:
        raise UserError(
            f'an .onnx model needs {", ".join(names)}, found no {error.name}: pip install -e ".[onnx]"'
        ) from error
    except Exception as error:  # of compiled code that does not suit this machine
        raise UserError(
            f"an .onnx model needs {', '.join(names)}, found that they cannot be used here ({first_line(error)})"
        ) from error
