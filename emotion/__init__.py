"""Fine-tune, compare, compress and run Transformer emotion classifiers.

The public names are imported on first use, so that ``import emotion`` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotion.compression.run import compress_and_evaluate
    from emotion.prediction.inference import run_inference
    from emotion.training.classic import main

__all__ = ["compress_and_evaluate", "main", "run_inference"]
__version__ = "0.1.0"

_HOME = {
    "compress_and_evaluate": "emotion.compression.run",
    "main": "emotion.training.classic",
    "run_inference": "emotion.prediction.inference",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
