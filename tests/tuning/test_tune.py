"""A search from the CSVs to the best model: what is trained, what goes on after a kill, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emotion.config import PROJECT, compose_config, resolve
from emotion.errors import UserError
from emotion.reporting import (
    DONE,
    PRUNED,
    UNFINISHED,
    TuningReport,
    is_our_figure,
    read_report,
    read_tuning_report,
    tuning_tables,
)
from emotion.tuning import TuningConfig, tune
from emotion.tuning.search_space import Choices, Range
from emotion.tuning.study import Study
from support.interruptions import do_in_step

pytestmark = pytest.mark.usefixtures("one_thread")

RATES = "search={model.learning_rate: [1e-4, 1e-2, log]}"


def overrides(backbones: dict[str, Path], corpus: dict[str, Path], out: Path, *more: str) -> list[str]:
    search = [] if any(each.startswith("search=") for each in more) else [RATES]
    return [
        *("data=csv", f"data.train={corpus['train']}", f"data.validation={corpus['validation']}"),
        *(f"model.backbone={backbones['minilm']}", "data.batch_size=8", "trainer.max_epochs=1"),
        *("trainer.enable_progress_bar=false", "trials=3", f"output_dir={out}", *search, *more),
    ]


def config_for(backbones: dict[str, Path], corpus: dict[str, Path], folder: Path, *more: str) -> TuningConfig:
    return resolve(compose_config("tune", overrides(backbones, corpus, folder / "out", *more)), TuningConfig)


def settings(report: TuningReport) -> list[object]:
    return [trial.settings for trial in report.trials]


def test_the_best_training_leaves_its_deliverables(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    search = (
        "search={model.learning_rate: [1e-4, 1e-2, log], optimizer.schedule: {choices: [linear, cosine]},"
        " optimizer.weight_decay: [0, 0.1], trainer.max_epochs: [1, 2]}"
    )
    report = tune(config_for(backbones, corpus, tmp_path, search, "trials=6", "pruning=false"))
    out = tmp_path / "out"
    assert read_tuning_report(out) == report
    assert [(trial.number, trial.state) for trial in report.trials] == [(number, DONE) for number in range(6)]
    for trial in report.trials:
        rate, decay = trial.settings["model.learning_rate"], trial.settings["optimizer.weight_decay"]
        assert isinstance(rate, float)
        assert 1e-4 <= rate <= 1e-2
        assert isinstance(decay, float)
        assert 0 <= decay <= 0.1
        assert trial.settings["optimizer.schedule"] in ("linear", "cosine")
        assert len(trial.validations) == trial.settings["trainer.max_epochs"]
        assert trial.macro_f1 == pytest.approx(max(trial.validations), abs=1e-6)
    assert len({str(each) for each in settings(report)}) == 6, "each trial tries something else"

    trained = read_report(out)
    by_place = {Path(run.run_id).name: run.macro_f1 for run in trained.runs}
    assert by_place == {str(trial.number): trial.macro_f1 for trial in report.trials}
    best, kept = report.best, trained.models["MiniLM"]
    assert best is not None
    assert best.macro_f1 == kept.macro_f1 == max(by_place.values())
    assert kept.config["model"]["learning_rate"] == best.settings["model.learning_rate"]
    assert (out / "best_MiniLM.pt").is_file()
    assert not list(out.rglob("*.ckpt"))  # they would fill a disk
    assert is_our_figure(out / "tuning.png")
    assert tuning_tables(report)[0].best == str(best.number)


def test_a_search_goes_on_with_the_training_that_it_was_at(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise RuntimeError("a power failure")

    updates = 8  # of each training's two epochs
    with monkeypatch.context() as patch:
        do_in_step(2 * updates + updates // 2 + 2, stop, patch)  # of the second training, in its second epoch
        with pytest.raises(RuntimeError, match="a power failure"):
            tune(config_for(backbones, corpus, tmp_path, "trainer.max_epochs=2"))
    early = read_tuning_report(tmp_path / "out")
    assert early is not None
    assert [trial.state for trial in early.trials] == [DONE]
    report = tune(config_for(backbones, corpus, tmp_path, "trainer.max_epochs=2"))
    assert [(trial.number, trial.state) for trial in report.trials] == [(0, DONE), (1, DONE), (2, DONE)]
    assert report.trials[0] == early.trials[0]
    assert all(len(trial.validations) == 2 for trial in report.trials)
    again = tune(config_for(backbones, corpus, tmp_path, "trainer.max_epochs=2", "trials=3"))
    assert again.trials == report.trials, "a finished search is not done again"
    more = tune(config_for(backbones, corpus, tmp_path, "trainer.max_epochs=2", "trials=4"))
    assert more.trials[:3] == report.trials
    assert len(more.trials) == 4


def test_two_processes_share_a_search(backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, str(PROJECT / "scripts" / "tune.py")]
    given = overrides(backbones, corpus, tmp_path / "out", "trials=5")
    workers = [subprocess.Popen([*command, *given], cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [worker.communicate(timeout=300)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], ends
    report = tune(config_for(backbones, corpus, tmp_path, "trials=5"))
    assert [(trial.number, trial.state) for trial in report.trials] == [(number, DONE) for number in range(5)]
    assert len({str(each) for each in settings(report)}) == 5
    assert len(read_report(tmp_path / "out").runs) == 5


def test_a_trial_below_the_median_of_others_at_the_same_validation_is_told_so(tmp_path: Path) -> None:
    study = Study(tmp_path, {"search": 1}, seed=0)
    space = {"model.learning_rate": Range(0.1, 0.2), "optimizer.average": Choices(("none", "ema"))}
    scores = np.random.default_rng(0).uniform(size=(12, 3))
    seen: list[np.ndarray] = []
    for curve in scores:
        with study.next_trial(space, most=12) as trial:
            assert trial is not None
            for step, value in enumerate(curve, start=1):
                # The best so far against the median at this validation of those that were not ended early.
                whole = [each for each in seen if len(each) == len(curve)]
                is_worse = len(whole) >= 5 and max(curve[:step]) < np.median([each[step - 1] for each in whole])
                assert trial.report(step, value) == is_worse
                if is_worse:
                    trial.tell_pruned()
                    seen.append(curve[:step])
                    break
            else:
                trial.tell(max(curve))
                seen.append(curve)
    states = [trial.state.name for trial in study.trials]
    assert "PRUNED" in states
    assert states.count("COMPLETE") >= 5


def test_a_pruned_training_ends_early_and_is_counted(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    """A rate that teaches nothing stays below the median of others."""
    search = "search={model.learning_rate: {choices: [0.01, 0.000000001]}}"
    report = tune(config_for(backbones, corpus, tmp_path, search, "trials=12", "trainer.max_epochs=4"))
    ended = [trial for trial in report.trials if trial.state == PRUNED]
    assert ended
    assert len(report.trials) == 12
    assert all(len(trial.validations) < 4 and trial.settings["model.learning_rate"] == 1e-9 for trial in ended)
    assert not any(trial.state == UNFINISHED for trial in report.trials)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("search={}", "search: must be settings by key"),
        ("search={model.learning_rat: [1e-5, 1e-4]}", r"search\.model\.learning_rat: .*learning_rat"),
        ("search={model.learning_rate: [1e-4, 1e-5]}", r"search\.model\.learning_rate: must go from low to high"),
        ("search={optimizer.weight_decay: [0, 0.1, log]}", r"search\.optimizer\.weight_decay: must be > 0 for log"),
        ("search={optimizer.weight_decay: [-1, 0.1]}", r"search\.optimizer\.weight_decay: optimizer\.weight_decay"),
        ("search={optimizer.schedule: {choices: [linear, linea]}}", r"search\.optimizer\.schedule: .*linea"),
        ("search={model.learning_rate: 1e-4}", r"search\.model\.learning_rate: must be \[low, high\]"),
        ("search={seed: [1, 5]}", r"search\.seed: must be a setting of model"),
        ("search={trainer.log_every_n_steps: [1, 5]}", r"must be a setting that changes the model"),
        ("trials=0", "trials: must be"),
    ],
)
def test_a_search_for_what_cannot_be_is_refused_in_one_line(
    given: str, message: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        config_for(backbones, corpus, tmp_path, given)
    assert "\n" not in str(caught.value)


def test_a_folder_of_another_search_or_of_somebody_else_is_refused(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    tune(config_for(backbones, corpus, tmp_path, "trials=1"))
    other = "search={model.learning_rate: [1e-4, 2e-2, log]}"
    with pytest.raises(UserError, match=r"output_dir: .*without a search of other search, found .*study\.log"):
        tune(config_for(backbones, corpus, tmp_path, other))
    with pytest.raises(UserError, match=r"output_dir: .*without a search of other settings, found"):
        tune(config_for(backbones, corpus, tmp_path, "optimizer.schedule=cosine"))
    corpus["train"].write_text(corpus["train"].read_text() + "so glad,1\n")
    with pytest.raises(UserError, match=r"output_dir: .*without a search of other data, found"):
        tune(config_for(backbones, corpus, tmp_path))

    (tmp_path / "new").mkdir()
    for content in ("mine", "mine\nand mine"):
        (tmp_path / "new" / "study.log").write_text(content)
        with pytest.raises(UserError, match=r"output_dir: must hold a study of this command or none"):
            tune(config_for(backbones, corpus, tmp_path, f"output_dir={tmp_path / 'new'}"))
        assert (tmp_path / "new" / "study.log").read_text() == content


def test_a_journal_that_a_kill_cut_off_goes_on(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    report = tune(config_for(backbones, corpus, tmp_path, "trials=1"))
    journal = tmp_path / "out" / "study.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code":8,"worker_')
    assert tune(config_for(backbones, corpus, tmp_path, "trials=2")).trials[0] == report.trials[0]
    for number, rest in enumerate((b"{", b'{"op_code":0,"wor')):
        folder = tmp_path / str(number)
        (folder / "out").mkdir(parents=True)
        (folder / "out" / "study.log").write_bytes(rest)
        assert tune(config_for(backbones, corpus, folder, "trials=1")).trials == report.trials
