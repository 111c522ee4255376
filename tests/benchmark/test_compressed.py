"""Size and speed of compressed models are those of the files that the techniques make."""

from pathlib import Path

import pytest

from emotion.benchmark import BenchmarkConfig, compressed
from emotion.benchmark.model_files import HUGGING_FACE
from emotion.benchmark.sides import OURS
from emotion.checkpoint import load, save
from emotion.data import LabelledTexts
from emotion.models import FEWEST_ROWS
from emotion.scoring import calibrate_
from support.files import sample_rows, write_csv
from support.labels import EMOTION6

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def data(config: BenchmarkConfig) -> LabelledTexts:
    return LabelledTexts.read(config.data.train, "text", "label", EMOTION6, "data.train")


def test_every_model_is_timed_in_turn_with_transformers(
    config: BenchmarkConfig, data: LabelledTexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "TECHNIQUES", ("quantize", "narrow"))
    speed = compressed.compression(config, data, tmp_path)
    assert set(speed.sides) == {HUGGING_FACE, OURS, "onnx", "onnx_int8", "quantize", "narrow"}
    assert next(iter(speed.sides)) == HUGGING_FACE
    reference = speed.sides[HUGGING_FACE]
    assert (reference.speedup.median, reference.speedup_batch_1.median) == (1, 1)
    for name, side in speed.sides.items():
        assert side.single_ms.minimum > 0
        if name in ("quantize", "narrow"):
            assert side.size_mb == (tmp_path / f"{name}.pt").stat().st_size / 1e6
            assert side.size_ratio == side.size_mb / speed.sides[OURS].size_mb
    original, narrowed = load(str(config.weights)), load(tmp_path / "narrow.pt")
    assert narrowed.torch_model.config.intermediate_size == original.torch_model.config.intermediate_size // 2
    assert load(tmp_path / "quantize.pt").precision == "int8"


def test_ratios_are_those_of_each_round(
    config: BenchmarkConfig, data: LabelledTexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "TECHNIQUES", ())
    monkeypatch.setattr(compressed, "model_files", lambda *_: files)
    files = {OURS: Path(str(config.weights)), HUGGING_FACE: tmp_path}
    monkeypatch.setattr(compressed, "_plain", lambda *_: load(files[OURS]).model)
    times = iter([2.0, 8.0, 3.0, 9.0, 1.0, 5.0, 1.0, 7.0])  # ours, theirs, ...: 2 rounds of single texts, 2 of batches
    monkeypatch.setattr(compressed, "_median_ms", lambda *_: next(times))
    ours = compressed.compression(config, data, tmp_path).sides[OURS]
    assert (ours.single_ms.minimum, ours.single_ms.maximum) == (2, 3)
    assert (ours.speedup_batch_1.minimum, ours.speedup_batch_1.maximum) == (3, 4)
    assert (ours.speedup.minimum, ours.speedup.maximum) == (5, 7)


def test_a_technique_that_fails_is_left_out_and_logged(
    config: BenchmarkConfig, data: LabelledTexts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """``small`` keeps more layers than the tiny model has."""
    speed = compressed.compression(config, data, tmp_path)
    assert {"small", "tiny"} & set(speed.sides) == {"tiny"}
    assert "small is left out: drop_layers.keep: must be" in caplog.text


def test_distilling_is_left_out(config: BenchmarkConfig, data: LabelledTexts, tmp_path: Path) -> None:
    path = compressed._make("distill", Path(str(config.weights)), data, config, tmp_path)
    assert load(path).predict(data.texts) == load(str(config.weights)).predict(data.texts)


def test_a_narrower_student_of_a_calibrated_model_is_made(
    config: BenchmarkConfig, data: LabelledTexts, tmp_path: Path
) -> None:
    """Smoothing predicts with the student, whose features have another width than those of the familiarity."""
    original = load(str(config.weights))
    rows = sample_rows("train", FEWEST_ROWS)
    calibrate_(original, LabelledTexts.read(write_csv(tmp_path / "more.csv", rows), "text", "label", EMOTION6, ""))
    assert original.familiarity is not None
    save(original, tmp_path / "calibrated.pt")
    student = load(compressed._make("micro", tmp_path / "calibrated.pt", data, config, tmp_path))
    assert student.familiarity is None
    assert len(student.predict(data.texts)) == len(data.texts)
