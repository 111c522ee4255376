"""The package works from a wheel, away from the checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from emotion.config import CONF, PROJECT, SAMPLE
from support.files import sample_rows, write_csv


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel by way of the source distribution, so that both are complete."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    source = folder / "source"  # building leaves files behind, which the checkout must not have
    tracked = subprocess.run(["git", "-C", str(PROJECT), "ls-files"], capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("needs a checkout")
    for name in tracked.stdout.splitlines():
        if (PROJECT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, check=True)
    (archive,) = folder.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(archive)], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_conf_and_the_sample_inside_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"emotion", "emotion_classifier.py", f"{wheel.name.partition('-py3')[0]}.dist-info"}
    for source, target in ((CONF, "conf"), (SAMPLE, "sample")):
        files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
        assert {f"emotion/{target}/{file}" for file in files} <= names
    suffixes = {".py", ".j2", ".css", ".js"}
    files = [path for path in (PROJECT / "emotion").rglob("*") if path.suffix in suffixes]
    assert {path.relative_to(PROJECT).as_posix() for path in files} <= names
    assert "emotion/py.typed" in names


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_installation_trains_predicts_and_compresses(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    install = ["install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    # The dependencies are those of the running environment; an editable installation there must not be found first.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    def run(command: str, *arguments: str) -> str:
        code = f"import emotion, emotion.cli; assert {str(site)!r} in emotion.__file__; emotion.cli.{command}()"
        done = subprocess.run(
            [python, "-c", code, *arguments],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    csv = write_csv(tmp_path / "test.csv", sample_rows("test", 8))
    run("train", "trainer=debug", "data.batch_size=8")
    weights = "weights=outputs/debug/best_MiniLM.pt"
    run("predict", weights, f"csv={csv}")
    assert len((tmp_path / "test_predictions.csv").read_text(encoding="utf-8").splitlines()) >= 9
    run("compress", weights, f"data.validation={csv}", "rounds=1", "technique.techniques=[prune,onnx_int8]")
    assert (tmp_path / "outputs" / "debug" / "compression_results" / "MiniLM_onnx_int8.onnx").is_file()
    assert "batch_size: 32" in run("train", "--cfg", "job")
