"""Print what was predicted."""

from rich.console import Console

from emotion.errors import UserError
from emotion.partitions.run import PartitionedPrediction


def print_partitions(found: PartitionedPrediction) -> None:
    """Print how many files and rows were predicted.

    Raises:
        UserError: Some files could not be predicted, so that the command fails.
    """
    rows = sum(entry.rows for entry in found.done)
    earlier = f"; {found.kept:,} files had been predicted before" if found.kept else ""
    Console().print(
        f"{len(found.done):,} files, {rows:,} rows predicted{earlier}: {found.folder}", highlight=False, soft_wrap=True
    )
    if found.failed:
        names = ", ".join(list(found.failed)[:5]) + (", ..." if len(found.failed) > 5 else "")
        raise UserError(f"csv: {len(found.failed)} files could not be predicted ({names}); the others are")
