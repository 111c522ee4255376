"""Fixtures for the tests of predicting CSVs."""

from support.prediction import weights

__all__ = ["weights"]
