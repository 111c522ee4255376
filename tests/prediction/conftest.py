"""What the tests of predicting CSVs share."""

from support.prediction import weights

__all__ = ["weights"]
