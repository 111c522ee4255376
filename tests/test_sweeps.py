"""A sweep that was killed goes on when the same command is started again, as the same sweep."""

from pathlib import Path

import pytest
from joblib import Parallel, delayed

from emotion.errors import UserError
from emotion.sweeps import of_launcher
from support.command_server import Commands, Death
from support.files import sample_rows, write_csv
from support.training import read_report, same, weights_of


def test_the_flag_of_a_sweep_may_stand_last(
    commands: Commands, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    csvs = [f"data.train={corpus['train']}", f"data.validation={corpus['validation']}"]
    done = commands.run("train", tmp_path, f"model.backbone={backbones['minilm']}", *csvs, "trainer.max_epochs=1", "-m")
    assert done.code == 0, done.err
    assert len(read_report(tmp_path / "outputs")["runs"]) == 1


def test_a_killed_sweep_goes_on(commands: Commands, backbones: dict[str, Path], tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "train.csv", sample_rows("train", 200))
    validation = write_csv(tmp_path / "validation.csv", sample_rows("validation", 40))
    settings = [f"model.backbone={backbones['minilm']}", f"data.train={csv}", f"data.validation={validation}"]
    arguments = ["-m", "seed=1,2", "trainer.max_epochs=2", "data.batch_size=8", "model.learning_rate=0.003", *settings]

    whole = commands.run("train", tmp_path, *arguments, "output_dir=whole")
    assert whole.code == 0, whole.err
    assert whole.out.count("Over seeds, on validation") == 1, "once, at the end"
    assert (tmp_path / "whole" / "report.html").is_file()
    assert (tmp_path / "whole" / "model_cards" / "MiniLM.md").is_file()
    # Just before the last quarter of its files comes into place: in the second job.
    death = Death(seconds=60, rename=whole.renames * 5 // 8)
    assert commands.run("train", tmp_path, *arguments, "output_dir=out", death=death).code == -9
    folder = max(tmp_path.glob("multirun/*/*"))
    state = folder / "0" / "checkpoints" / "last.ckpt"
    written = state.stat().st_mtime_ns

    again = commands.run("train", tmp_path, *arguments, "output_dir=out")
    assert again.code == 0, again.err
    assert f"resuming the sweep in {folder}" in again.out
    assert f"the run in {folder / '0'} is finished already" in again.out
    assert state.stat().st_mtime_ns == written
    reports = [read_report(tmp_path / out) for out in ("out", "whole")]
    assert [run["seed"] for run in reports[0]["runs"]] == [1, 2]
    assert {run["sweep"] for run in reports[0]["runs"]} == {str(folder)}
    assert [run["macro_f1"] for run in reports[0]["runs"]] == [run["macro_f1"] for run in reports[1]["runs"]]
    assert same(*(weights_of(tmp_path / out / "best_MiniLM.pt") for out in ("out", "whole")))

    assert "resuming" not in commands.run("train", tmp_path, *arguments, "output_dir=out").out, "it is finished"


def test_what_fails_within_a_launcher_is_one_line_and_other_errors_stay() -> None:
    with pytest.raises(ValueError, match="invalid literal") as within:
        Parallel(n_jobs=1)([delayed(int)("x")])
    told = of_launcher(within.value)
    assert isinstance(told, UserError)
    assert str(told).startswith("hydra/launcher: must run jobs that end by themselves, found invalid literal")
    with pytest.raises(ValueError, match="invalid literal") as other:
        int("x")
    assert of_launcher(other.value) is other.value
    pipe = BrokenPipeError()  # whoever reads the output wants no more
    assert of_launcher(pipe) is pipe
