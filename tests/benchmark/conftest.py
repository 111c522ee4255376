"""What the tests of the benchmark share."""

from support.benchmarks import config

__all__ = ["config"]
