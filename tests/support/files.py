"""Corpora and files of the tests."""

import csv
import re
from pathlib import Path

from emotion.config import SAMPLE

_HYDRA_RECORD = re.compile(r"outputs/\d{4}-\d\d-\d\d/[\d-]+/((train|compress)\.log|\.hydra/\w+\.yaml)")


def sample_rows(split: str = "train", limit: int | None = None) -> list[tuple[str, int]]:
    """(text, label) rows of the sample corpus."""
    with (SAMPLE / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], int(row["label"])) for row in csv.DictReader(file)]
    return rows[:limit]


TEXTS = [text for text, _ in sample_rows("test", 40)] + ["", "@you http://example.com/x 🙂 don\u2019t"]


def write_csv(path: Path, rows: list[tuple[str, object]], header: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


def files_in(folder: Path) -> dict[str, bytes]:
    """The content of each file by its path in the folder, without our hidden files and Hydra's record of a run."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    kept = {name: path for name, path in files.items() if not path.name.startswith(".emotion.")}
    return {name: path.read_bytes() for name, path in kept.items() if not _HYDRA_RECORD.fullmatch(name)}
