"""What all blocks share: their register, the reports, and how their text is laid out."""

from collections.abc import Callable, Iterable
from textwrap import fill

from emotion.article import Material
from emotion.config import PROJECT
from emotion.reporting import (
    BenchmarkReport,
    CompressionReport,
)

REPORTS = PROJECT / "docs" / "reports"
BLOCKS: dict[str, Callable[[], str]] = {}


def block(function: Callable[[], str]) -> Callable[[], str]:
    """Let blocks of a function's name, with hyphens, be filled by it."""
    BLOCKS[function.__name__.replace("_", "-")] = function
    return function


def read_material(folder: str) -> Material:
    """Read the reports of a folder of docs/reports."""
    return Material.read(REPORTS / folder)


def machine(report: CompressionReport | BenchmarkReport) -> str:
    """Tell on what a report was measured."""
    hardware, versions = report.environment.hardware, report.environment.versions
    packages = " and ".join(f"{name} {versions[name]}" for name in ("torch", "transformers"))
    return f"On {hardware['cpu']}, {hardware['threads']} threads, GPU: {hardware['gpu']}, with {packages}."


def bullets(sentences: Iterable[str]) -> str:
    """Lay sentences out as a list."""
    return "\n".join(wrapped(f"- {sentence}", indent="  ") for sentence in sentences)


def wrapped(text: str, indent: str = "") -> str:
    """Break a paragraph into lines of 120 characters."""
    return fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
