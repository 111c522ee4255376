"""What the tests of reports share."""

from support.benchmarks import config

__all__ = ["config"]
