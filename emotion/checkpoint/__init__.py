"""Save a classifier to one portable file, and load it."""

from emotion.checkpoint.saving import BATCH_SIZE, Checkpoint, load

__all__ = ["BATCH_SIZE", "Checkpoint", "load"]
