"""The scripts that measure run, and tell what they are said to tell; their figures are none of the tests' business."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emotion.checkpoint import save
from emotion.compression.steps.onnx import export_onnx
from emotion.config import PROJECT
from support.files import sample_rows, write_csv
from support.predictors import untrained


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROJECT / "scripts" / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def model(backbones: dict[str, Path], tmp_path: Path) -> Path:
    save(export_onnx(untrained("minilm", backbones["minilm"])), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "texts.csv", sample_rows("train", 1200))


@pytest.mark.slow
def test_versions_are_compared_by_processes_that_import_them(model: Path, texts: Path, tmp_path: Path) -> None:
    sides = [f"{name}={PROJECT}:{model}" for name in ("one", "other")]
    texts.write_text(texts.read_text(encoding="utf-8") + "again so glad\n" * 100, encoding="utf-8")
    done = run("compare_versions.py", texts, *sides, "--rows", "50", "--rounds", "1", "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["sides"]
    assert found["one"]["labels"] == found["other"]["labels"]
    assert found["one"]["size_mb"] == model.stat().st_size / 1e6


def test_a_folder_without_a_version_is_refused(model: Path, texts: Path, tmp_path: Path) -> None:
    """An installed version would be measured in its place."""
    texts.write_text(texts.read_text(encoding="utf-8") + "again so glad\n" * 100, encoding="utf-8")
    done = run("compare_versions.py", texts, f"one={tmp_path}:{model}", "--rows", "50", "--rounds", "1")
    assert done.returncode != 0
    assert f"{tmp_path}: must hold a version of this program, found none" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("sides", "options", "problem"),
    [
        (("one", "one"), (), "sides: must have names of their own, found two alike"),
        (("one", "two"), ("--json", "no/folder.json"), "--json: must be in a folder that is there, found no/folder"),
    ],
)
def test_what_could_not_be_told_is_not_measured(
    sides: tuple[str, ...], options: tuple[str, ...], problem: str, model: Path, texts: Path
) -> None:
    done = run("compare_versions.py", texts, *(f"{side}={PROJECT}:{model}" for side in sides), *options)
    assert done.returncode != 0
    assert problem in done.stderr


@pytest.mark.parametrize("script", ["compare_versions.py", "soak_server.py", "measure_page.py"])
def test_what_holds_no_texts_is_told_in_one_line(script: str, model: Path, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "other.csv", [("a", "b")], ("tweet", "mood"))
    places = {"compare_versions.py": [csv, f"one={PROJECT}:{model}"], "soak_server.py": [model, csv]}
    done = run(script, *places.get(script, [csv, model]))
    assert done.returncode != 0
    assert "other.csv: must have one column 'text', found 'tweet', 'mood'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_server_is_watched_under_load_and_under_too_much(model: Path, texts: Path, tmp_path: Path) -> None:
    done = run("soak_server.py", model, texts, "--minutes", "0.1", "--clients", "4", "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert list(found["steady"]["statuses"]) == ["200"]
    assert set(found["overload"]["statuses"]) == {"200", "429"}
    assert found["steady"]["requests_per_second"] < found["as_fast_as_possible"]["requests_per_second"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser: apt-get install chromium")
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm fetches what the page runs on")
def test_a_page_is_measured_beside_python(model: Path, texts: Path, tmp_path: Path) -> None:
    done = run("measure_page.py", texts, model, "--rounds", "1", "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["models"].values()
    assert found["other_labels"] <= 6, "of 1,200; at random, 1,000 would be others"
    assert found["size_mb"] < 25
    assert 0 < found["p50_ms"] <= found["p99_ms"]


@pytest.mark.parametrize(
    ("script", "option", "problem"),
    [
        ("soak_server.py", ("--minutes", "0"), "--minutes: must be > 0, found 0.0"),
        ("soak_server.py", ("--clients", "0"), "--clients: must be > 0, found 0"),
        ("soak_server.py", (), "none.onnx: must be served, found: error: weights: must be a checkpoint file, found no"),
        ("measure_page.py", ("--rounds", "0"), "--rounds: must be >= 1, found 0"),
        ("measure_page.py", ("--json", "no/folder.json"), "--json: must be in a folder that is there, found no/folder"),
        ("soak_server.py", ("--json", "no/folder.json"), "--json: must be in a folder that is there, found no/folder"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    script: str, option: tuple[str, ...], problem: str, texts: Path, tmp_path: Path
) -> None:
    model = tmp_path / "none.onnx"
    places = [model, texts] if script == "soak_server.py" else [texts, model]
    done = run(script, *places, *option)
    assert done.returncode != 0
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
