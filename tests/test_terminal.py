"""Log lines stand above a progress bar, not behind it."""

import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.live import Live

from emotion.config import PROJECT
from emotion.terminal import CurrentStream, progress_bar, stderr, stdout, working


@pytest.mark.parametrize("stream", [stdout, stderr], ids=["stdout", "stderr"])
def test_a_log_line_goes_where_the_stream_goes_at_the_time(
    stream: CurrentStream, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.Logger("test")
    log.addHandler(logging.StreamHandler(stream))
    log.info("before")
    screen = Console(file=io.StringIO(), force_terminal=True, width=60)
    with Live("the bar", console=screen, auto_refresh=False):
        log.info("meanwhile")
    log.info("after")
    captured = capsys.readouterr()
    assert (captured.out if stream is stdout else captured.err) == "before\nafter\n"
    written = screen.file.getvalue()  # type: ignore[attr-defined]
    assert written.index("meanwhile") < written.rindex("the bar"), "the bar is drawn anew below the line"


@pytest.mark.parametrize("script", ["train", "compress", "predict", "benchmark"])
def test_every_script_logs_there(script: str) -> None:
    overrides = ["weights=w.pt", "csv=c.csv"] if script == "predict" else []
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        config = compose(script, overrides, return_hydra_config=True)
    assert config.hydra.job_logging.handlers.console.stream == "ext://emotion.terminal.stdout"


@pytest.mark.parametrize("choice", ["default", "stdout", "disabled", "none"])
def test_hydras_other_choices_of_logging_still_work(choice: str, tmp_path: Path) -> None:
    script = [sys.executable, PROJECT / "scripts" / "predict.py", f"hydra/job_logging={choice}", "csv=x.csv"]
    done = subprocess.run([*script, "weights=w.pt"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("error: csv: must be a CSV file"), done.stderr


def test_a_bar_shows_what_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with progress_bar() as progress:
        progress.add_task("reading", total=40, completed=10)
    shown = capsys.readouterr().out
    assert shown.startswith("reading ")
    assert "10/40" in shown
    with working("a step"):
        print("while it works")
    assert capsys.readouterr().out.strip() == "while it works", "a moving bar leaves nothing"
