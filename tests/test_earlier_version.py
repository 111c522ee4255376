"""Files that version 0.1.0 wrote can still be read and mean the same."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from emotion import run_inference
from emotion.checkpoint import load
from emotion.config import compose_config, resolve
from emotion.reporting import BenchmarkReport, read_compression_report, read_json, read_report
from emotion.training import TrainConfig, train
from support.labels import EMOTION6

EARLIER = Path(__file__).parent / "support" / "earlier_version"
EXPECTED = json.loads((EARLIER / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy, as the tests write files into the folder."""
    return shutil.copytree(EARLIER, tmp_path / "earlier")


@pytest.mark.parametrize("name", EXPECTED["probabilities"])
def test_checkpoints_predict_what_they_did(name: str, earlier: Path) -> None:
    loaded = load(earlier / name)
    assert loaded.labels.names == EMOTION6.names
    expected = torch.tensor(EXPECTED["probabilities"][name])
    found = loaded.predict_proba(EXPECTED["texts"])
    # bitsandbytes and ONNX Runtime round differently from one processor to another.
    tolerance = 1e-5 if name in ("best_MiniLM.pt", "MiniLM_prune.pt") else 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    clear = expected.amax(-1) > 0.9
    assert clear.sum() >= 3
    assert torch.equal(found.argmax(-1)[clear], expected.argmax(-1)[clear])


def test_run_inference_reads_them(earlier: Path) -> None:
    labels = run_inference(str(earlier / "best_MiniLM.pt"), str(earlier / "validation.csv"))
    truth = [int(line.rpartition(",")[2]) for line in (earlier / "validation.csv").read_text().splitlines()[1:]]
    assert labels == truth, "its report says that it was right on all rows"


def test_reports_are_read(earlier: Path) -> None:
    report = read_report(earlier)
    assert report.best_model == "MiniLM"
    assert report.models["MiniLM"].macro_f1 == 1.0
    assert list(report.models["MiniLM"].per_class) == list(EMOTION6.names)
    compression = read_compression_report(earlier)
    assert compression is not None
    assert compression.variants.keys() == {"original", "prune", "quantize", "onnx_int8"}
    assert compression.variants["onnx_int8"].settings["onnx_int8"]["reduce_range"] == "auto"
    benchmark = read_json(earlier / "benchmark_report.json", BenchmarkReport)
    assert benchmark.prediction is not None
    assert {side.agreement for side in benchmark.prediction.sides.values()} == {1.0}
    assert benchmark.devices is not None
    assert benchmark.training is None, "it was not measured"


@pytest.mark.filterwarnings("ignore:The loaded checkpoint was produced with Lightning")  # of any version
def test_an_unfinished_run_is_resumed(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(earlier)
    overrides = ["data=csv", "data.train=train.csv", "data.validation=validation.csv", "data.batch_size=8"]
    model = ["model.backbone=./backbone", "model.learning_rate=0.03", "data.max_length=16"]
    trainer = ["trainer.max_epochs=3", "trainer.enable_progress_bar=false", "trainer.ckpt_path=checkpoints/last.ckpt"]
    config = resolve(compose_config("train", [*overrides, *model, *trainer, "output_dir=out"]), TrainConfig)
    report = train(config, earlier / "run")
    assert report is not None
    assert [record.epoch for record in report.models["MiniLM"].history] == [1, 2, 3]
