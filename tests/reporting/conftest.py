"""Fixtures for the tests of reports."""

from support.benchmarks import config

__all__ = ["config"]
