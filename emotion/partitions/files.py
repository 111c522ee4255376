"""Find the files to predict, and name the file that each becomes."""

import glob
from dataclasses import dataclass
from pathlib import Path

from emotion.errors import UserError

FORMATS = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".jsonl.gz": "jsonl"}
"""Of a file by the end of its name."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file to predict, and where its predictions go."""

    source: Path
    target: Path

    @property
    def name(self) -> str:
        """Of the source, within its folder."""
        return self.source.name


def names_many(csv: str) -> bool:
    """Return whether ``csv`` names a folder, a pattern, or a file of another format than CSV."""
    path = Path(csv)
    if path.is_dir():
        return True
    return (not path.exists() and glob.has_magic(csv)) or ending(path) not in (None, ".csv", ".csv.gz")


def find_parts(csv: str, output: str, form: str | None) -> list[Part]:
    """Return the files that ``csv`` names, sorted, each with its target in the folder ``output``.

    Args:
        csv: A folder, all of whose files of a known format are taken; a pattern; or one file.
        output: The folder of the predictions.
        form: Format of the predictions; None = each file's own.

    Raises:
        UserError: There is no file, two of them would become one, or one is of an unknown format.
    """
    path = Path(csv)
    found = sorted(path.iterdir()) if path.is_dir() else sorted(map(Path, glob.glob(csv, recursive=True)))
    files = [each for each in found if each.is_file() and not each.name.startswith((".", "_"))]
    if path.is_dir():
        files = [each for each in files if ending(each) is not None]
    if not files:
        raise UserError(f"csv: must name files of {', '.join(FORMATS)}, found none in {csv}")
    parts: dict[Path, Part] = {}
    for file in files:
        end = ending(file)
        if end is None:
            raise UserError(f"csv: must name files of {', '.join(FORMATS)}, found {file}")
        target = Path(output) / f"{file.name.removesuffix(end)}{end if form is None else f'.{form}'}"
        if target in parts:
            raise UserError(f"csv: must name files of different names, found {parts[target].source} and {file}")
        parts[target] = Part(file, target)
    return list(parts.values())


def ending(path: Path) -> str | None:
    """Return the end of the name by which the format is known; None for an unknown one."""
    return next((end for end in sorted(FORMATS, key=len, reverse=True) if path.name.endswith(end)), None)


def format_of(path: Path) -> str:
    """Return the format of a file of a known one."""
    end = ending(path)
    assert end is not None
    return FORMATS[end]
