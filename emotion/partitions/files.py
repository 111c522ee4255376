"""Find the files to predict, and name the file that each becomes."""

import glob
from dataclasses import dataclass
from pathlib import Path

from emotion.errors import UserError
from emotion.partitions.storage import is_remote, joined, name_of, storage_of

FORMATS = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".jsonl.gz": "jsonl"}
"""Of a file by the end of its name."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file to predict, and where its predictions go; paths or URLs."""

    source: str
    target: str

    @property
    def name(self) -> str:
        """Of the source, within its folder."""
        return name_of(self.source)


def names_many(csv: str) -> bool:
    """Return whether ``csv`` names a folder, a pattern, a URL, or a file of another format than CSV."""
    path = Path(csv)
    if is_remote(csv) or path.is_dir():
        return True
    return (not path.exists() and glob.has_magic(csv)) or ending(csv) not in (None, ".csv", ".csv.gz")


def find_parts(csv: str, output: str, form: str | None) -> list[Part]:
    """Return the files that ``csv`` names, sorted, each with its target in the folder ``output``.

    Args:
        csv: A folder, all of whose files of a known format are taken; a pattern; or one file.
        output: The folder of the predictions.
        form: Format of the predictions; None = each file's own.

    Raises:
        UserError: There is no file, two of them would become one, or one is of an unknown format.
    """
    storage = storage_of(csv)
    files = [each for each in storage.files(csv) if not name_of(each).startswith((".", "_"))]
    if storage.is_folder(csv):
        files = [each for each in files if ending(each) is not None]
    if not files:
        raise UserError(f"csv: must name files of {', '.join(FORMATS)}, found none in {csv}")
    parts: dict[str, Part] = {}
    for file in files:
        end = ending(file)
        if end is None:
            raise UserError(f"csv: must name files of {', '.join(FORMATS)}, found {file}")
        target = joined(output, f"{name_of(file).removesuffix(end)}{end if form is None else f'.{form}'}")
        if target in parts:
            raise UserError(f"csv: must name files of different names, found {parts[target].source} and {file}")
        parts[target] = Part(file, target)
    return list(parts.values())


def ending(path: str) -> str | None:
    """Return the end of the name by which the format is known; None for an unknown one."""
    return next((end for end in sorted(FORMATS, key=len, reverse=True) if path.endswith(end)), None)


def format_of(path: str) -> str:
    """Return the format of a file of a known one."""
    end = ending(path)
    assert end is not None
    return FORMATS[end]
