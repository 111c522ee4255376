"""Log lines stand above a progress bar, not behind it."""

import io
import logging

import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.live import Live

from emotion.config import PROJECT
from emotion.terminal import progress_bar, stdout


def test_a_log_line_goes_where_stdout_goes_at_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.Logger("test")
    log.addHandler(logging.StreamHandler(stdout))
    log.info("before")
    screen = Console(file=io.StringIO(), force_terminal=True, width=60)
    with Live("the bar", console=screen, auto_refresh=False):
        log.info("meanwhile")
    log.info("after")
    assert capsys.readouterr().out == "before\nafter\n"
    written = screen.file.getvalue()  # type: ignore[attr-defined]
    assert written.index("meanwhile") < written.rindex("the bar"), "the bar is drawn anew below the line"


@pytest.mark.parametrize("script", ["train", "compress", "predict", "benchmark"])
def test_every_script_logs_there(script: str) -> None:
    overrides = ["weights=w.pt", "csv=c.csv"] if script == "predict" else []
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        config = compose(script, overrides, return_hydra_config=True)
    assert config.hydra.job_logging.handlers.console.stream == "ext://emotion.terminal.stdout"


def test_a_bar_shows_what_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with progress_bar() as progress:
        progress.add_task("reading", total=40, completed=10)
    shown = capsys.readouterr().out
    assert shown.startswith("reading ")
    assert "10/40" in shown
    with progress_bar(transient=True) as progress:
        progress.add_task("passing", total=1)
    assert "passing" not in capsys.readouterr().out
