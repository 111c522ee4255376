"""Save a classifier to one portable file, and load it."""

from emotion.checkpoint.saving import load, save

__all__ = ["load", "save"]
