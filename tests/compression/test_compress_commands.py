"""Compression from the command line: what it prints, writes and returns."""

import json
import os
import subprocess
import sys
from pathlib import Path

from emotion.config import PROJECT
from support.command_server import Commands


def execute(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},  # faster for tiny models
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_script_compresses_and_prints_the_ranking(weights: Path, csv: Path, tmp_path: Path) -> None:
    script = str(PROJECT / "scripts" / "compress.py")
    done = execute(
        tmp_path, script, "technique=combined", f"weights={weights}", f"data.validation={csv}", "output_dir=new"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "MiniLM compressed" in done.stdout
    assert "fastest: " in done.stdout
    assert (tmp_path / "new" / "compression_results" / "MiniLM_combined.pt").is_file()
    report = json.loads((tmp_path / "new" / "compression_results" / "compression_report.json").read_text())
    assert report["variants"].keys() == {"original", "combined"}
    assert list((tmp_path / "outputs").glob("*/*/compress.log")), "Hydra's record of the run"


def test_if_bitsandbytes_is_broken_the_rest_is_done_and_the_exit_code_is_1(
    weights: Path, csv: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "bitsandbytes.py").write_text("raise ImportError('its library is for another processor')\n")
    done = execute(
        tmp_path,
        str(PROJECT / "scripts" / "compress.py"),
        f"weights={weights}",
        f"data.validation={csv}",
        PYTHONPATH=str(tmp_path / "broken"),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "error: technique: 2 of 3 failed: quantize (quantize: needs bitsandbytes to work on cpu, found"
    )
    report = json.loads((weights.parent / "compression_results" / "compression_report.json").read_text())
    assert report["variants"].keys() == {"original", "prune"}
    assert report["failed"].keys() == {"quantize", "combined"}
    after_training = ["technique=prune", "technique.name=late", "technique.steps=[distill,quantize]"]
    done = execute(
        tmp_path,
        str(PROJECT / "scripts" / "compress.py"),
        f"weights={weights}",
        f"data.validation={csv}",
        f"data.train={csv}",
        *after_training,
        PYTHONPATH=str(tmp_path / "broken"),
    )
    assert "quantize: needs bitsandbytes to work on cpu" in done.stderr
    assert "distilling" not in done.stdout, "it is told before the training"


def test_the_classic_command_prunes(weights: Path, csv: Path, tmp_path: Path) -> None:
    arguments = f"--mode compress --weights {weights} --val {csv} --technique prune --output classic".split()
    done = execute(tmp_path, str(PROJECT / "emotion_classifier.py"), *arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads((tmp_path / "classic" / "compression_results" / "compression_report.json").read_text())
    assert report["variants"].keys() == {"original", "prune"}
    assert (tmp_path / "classic" / "compression_results" / "MiniLM_prune.pt").is_file()


def test_a_path_that_the_system_refuses_gives_an_error_of_one_line(commands: Commands, tmp_path: Path) -> None:
    expected = f"error: {'w' * 300}: must be usable, found: File name too long\n"
    arguments = "--mode", "compress", "--weights", "w" * 300, "--val", "v.csv"
    classic = execute(tmp_path, str(PROJECT / "emotion_classifier.py"), *arguments)
    assert (classic.returncode, classic.stderr) == (1, expected)
    command = commands.run("compress", tmp_path, f"weights={'w' * 300}")
    assert (command.code, command.err) == (1, expected)
