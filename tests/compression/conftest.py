"""Fixtures for the tests of whole compressions."""

from support.compression_runs import csv, few_timings, weights

__all__ = ["csv", "few_timings", "weights"]
