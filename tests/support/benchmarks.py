"""A small benchmark, and made-up measurements."""

from pathlib import Path

import pytest

from emotion.benchmark import BenchmarkConfig, parts
from emotion.benchmark.measurement import Measurement
from emotion.config import compose_config, resolve
from support.files import sample_rows, write_csv
from support.predictors import model_config

ROWS = 90


@pytest.fixture
def config(backbones: dict[str, Path], originals: dict[str, Path], tmp_path: Path) -> BenchmarkConfig:
    """A tiny backbone and 90 rows in batches of 32, which leaves a batch that is not full."""
    rows = write_csv(tmp_path / "rows.csv", sample_rows("train", ROWS))
    overrides = ["data=csv", f"data.train={rows}", f"data.validation={rows}", f"weights={originals['minilm']}"]
    short = ["trainer.max_epochs=1", "trainer.enable_progress_bar=false", f"output_dir={tmp_path / 'out'}"]
    composed = resolve(
        compose_config("benchmark", [*overrides, *short, "rounds=2", "data.max_length=48"]), BenchmarkConfig
    )
    return composed.updated(model=model_config("minilm", backbones["minilm"]))


def measured(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, list[float]], **work: object) -> None:
    """Let the sides take these seconds, round by round, instead of running."""
    rounds = {side: iter(values) for side, values in seconds.items()}
    same = {"rows": 64, "tokens": 1000, "updates": 2, "peak_flops": 1e9, "single_ms": [3.0, 5.0, 9.0]}

    def run(side: str, *_: object) -> Measurement:
        return Measurement(**{"seconds": next(rounds[side]), **same, **work})  # type: ignore[arg-type]

    monkeypatch.setattr(parts, "run_side", run)
