"""Fixtures for the tests of the benchmark."""

from support.benchmarks import config

__all__ = ["config"]
