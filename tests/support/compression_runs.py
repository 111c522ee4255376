"""Short compressions of a tiny checkpoint."""

import hashlib
import shutil
from pathlib import Path

import pytest

from emotion.compression import CompressConfig, compress
from emotion.compression import measure as benchmark
from emotion.config import compose_config, resolve
from emotion.reporting import CompressionReport, Variant
from support.files import sample_rows, write_csv

ROWS = sample_rows("validation", 100)


@pytest.fixture(autouse=True)
def few_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "CALLS", 3)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "mine.csv", ROWS)


@pytest.fixture
def weights(originals: dict[str, Path], tmp_path: Path) -> Path:
    """MiniLM's checkpoint in a folder of its own."""
    (tmp_path / "out").mkdir()
    return Path(shutil.copy(originals["minilm"], tmp_path / "out"))


def run(*overrides: str) -> CompressionReport:
    """What ``scripts/compress.py`` does with the same options."""
    overrides = ("accelerator=cpu", "rounds=1", *overrides)
    return compress(resolve(compose_config("compress", list(overrides)), CompressConfig), overrides)


def alone(variant: Variant) -> Variant:
    """A variant without the p-value that depends on how many others there are."""
    return variant.model_copy(update={"mcnemar_holm_p": None})


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
