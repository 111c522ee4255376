"""Count how often a model's evaluation sets were read: a set that was looked at many times chooses by chance."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from emotion.reporting.schema import Report, Strict
from emotion.reporting.store import locked, read_json, write_json

READS_NAME = "evaluation_reads.json"


class Read(Strict):
    """One evaluation of a model, or of all its compressed variants together, on a set."""

    model_name: str
    data_sha256: str
    command: Literal["train", "compress", "evaluate", "soup"]
    time: str
    """In UTC, ISO 8601."""


class Reads(Report):
    """``evaluation_reads.json``, in the model's output folder."""

    schema_version: Literal[1] = 1
    reads: list[Read] = Field(default_factory=list)


def count_read(
    output_dir: Path, model_name: str, data_sha256: str, command: Literal["train", "compress", "evaluate", "soup"]
) -> int:
    """Note that a set is read, and return how often it was for this model, this time included.

    The caller must not hold the lock of ``output_dir``.

    Raises:
        UserError: The file that counts is none of this program's.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    path = output_dir / READS_NAME
    with locked(output_dir):
        content = read_json(path, Reads) if path.exists() else Reads()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        content.reads.append(Read(model_name=model_name, data_sha256=data_sha256, command=command, time=now))
        write_json(content, path)
    return sum((each.model_name, each.data_sha256) == (model_name, data_sha256) for each in content.reads)
