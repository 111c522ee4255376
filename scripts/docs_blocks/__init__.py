"""Write each block of README and docs that holds figures, from the reports in docs/reports."""

from docs_blocks import compression, results, scale, speed, start, versions
from docs_blocks.registry import BLOCKS, REPORTS

__all__ = ["BLOCKS", "REPORTS", "compression", "results", "scale", "speed", "start", "versions"]
