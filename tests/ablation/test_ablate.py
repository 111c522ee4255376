"""An ablation from the CSVs to its tables: what is trained, what is not done again, and what is called noise."""

import csv
from pathlib import Path

import numpy as np
import pytest

from emotion.ablation import AblationConfig, ablate
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.evaluation import paired_bootstrap
from emotion.reporting import (
    AblationReport,
    ablation_tables,
    is_our_figure,
    read_ablation_report,
    read_rows,
)
from support.files import files_in
from support.interruptions import do_in_step

pytestmark = pytest.mark.usefixtures("one_thread")


def config_for(backbones: dict[str, Path], corpus: dict[str, Path], folder: Path, *overrides: str) -> AblationConfig:
    composed = compose_config("ablate", ["data=csv", "trainer.max_epochs=1", "apart=40", "only=[cosine]", *overrides])
    composed.model.backbone, composed.output_dir = str(backbones["minilm"]), str(folder / "out")
    composed.data.train, composed.data.validation = str(corpus["train"]), str(corpus["validation"])
    composed.trainer.enable_progress_bar, composed.data.batch_size = False, 8
    composed.model.learning_rate = 0.003
    return resolve(composed, AblationConfig)


def place(report: AblationReport) -> set[tuple[str, int]]:
    return {(run.switch, run.seed) for run in report.runs}


def test_each_change_is_compared_over_the_same_seeds(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    extra = f"data.extra={{again: {corpus['validation']}}}"
    report = ablate(config_for(backbones, corpus, tmp_path, "seeds=[1,2]", "only=[cosine,ema]", extra))
    out = tmp_path / "out"
    assert read_ablation_report(out) == report
    assert place(report) == {(switch, seed) for switch in ("base", "cosine", "ema") for seed in (1, 2)}
    assert report.compared_on.rows == 40
    assert not any(path.suffix in (".pt", ".ckpt") for path in out.rglob("*"))  # they would fill a disk

    rows = {(run.switch, run.seed): read_rows(out / run.rows.file) for run in report.runs}
    labels = rows["base", 1].labels
    (effect,) = (each for each in report.effects["validation"] if each.switch == "cosine")
    answers = {key: each.probabilities.argmax(axis=1) for key, each in rows.items()}
    mine, base = ([answers[switch, seed] for seed in (1, 2)] for switch in ("cosine", "base"))
    assert effect.difference == paired_bootstrap(labels, mine, base, 6)
    assert effect.difference.difference == pytest.approx(np.mean(effect.by_seed))
    tables = ablation_tables(report)
    assert [table.title for table in tables] == ["Rows set apart", "again"]
    assert [row[0] for row in tables[0].rows] == ["base", "cosine", "ema"]
    assert all(row[1] == "2" for row in tables[0].rows)
    assert "| cosine | 2 |" in (out / "ablation.md").read_text()
    assert is_our_figure(out / "ablation.png")


def test_mapped_names_and_labels_of_their_own_reach_each_training_once(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    """The numbers of the CSVs are the user's own; each class of the report must hold the rows that the map says."""
    names = ("sadness", "joy", "love", "anger", "fear", "surprise")
    swapped = {str(place): names[(place + 1) % 6] for place in range(6)}
    mapped = "data.map={" + ", ".join(f"{number}: {name}" for number, name in swapped.items()) + "}"
    extra = f"data.extra={{again: {corpus['validation']}}}"
    report = ablate(config_for(backbones, corpus, tmp_path, "only=[]", "apart=0", mapped, extra))
    (run,) = report.runs
    out = tmp_path / "out"
    with corpus["validation"].open(encoding="utf-8", newline="") as file:
        expected = [(int(row["label"]) + 1) % 6 for row in csv.DictReader(file)]
    assert run.evaluations["again"].predictions is not None
    for rows in (run.rows, run.evaluations["again"].predictions):
        assert read_rows(out / rows.file).labels.tolist() == expected


def test_a_switch_that_says_something_else_now_starts_anew(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    mine = '+switches.mine=["optimizer.weight_decay={}"]'
    ablate(config_for(backbones, corpus, tmp_path, "only=[mine]", "seeds=[1,2]", mine.format(0.1)))
    report = ablate(config_for(backbones, corpus, tmp_path, "only=[mine]", "seeds=[1]", mine.format(0.2)))
    assert place(report) == {("base", 1), ("base", 2), ("mine", 1)}
    assert report.switches["mine"] == ["optimizer.weight_decay=0.2"]


def test_files_of_others_stay(backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("ablation.md", "ablation.png"):
        (tmp_path / "out" / name).write_text("mine")
        with pytest.raises(UserError, match=f"output_dir: .*{name}"):
            ablate(config_for(backbones, corpus, tmp_path))
        assert files_in(tmp_path / "out") == {name: b"mine"}
        (tmp_path / "out" / name).unlink()


def test_what_is_done_is_not_done_again_and_what_ended_early_goes_on(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise RuntimeError("a power failure")

    with monkeypatch.context() as patch:
        do_in_step(5, stop, patch)  # of the second training
        with pytest.raises(RuntimeError, match="a power failure"):
            ablate(config_for(backbones, corpus, tmp_path))
    early = read_ablation_report(tmp_path / "out")
    assert early is not None
    assert place(early) == {("base", 1)}
    report = ablate(config_for(backbones, corpus, tmp_path))
    assert report.runs[0] == early.runs[0]
    before = files_in(tmp_path / "out" / "predictions")
    wider = ablate(config_for(backbones, corpus, tmp_path, "only=[cosine,swa]"))
    assert wider.runs[:2] == report.runs
    assert place(wider) == {("base", 1), ("cosine", 1), ("swa", 1)}
    assert {name: each for name, each in files_in(tmp_path / "out" / "predictions").items() if name in before} == before


def test_rows_set_apart_teach_nothing(backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path) -> None:
    report = ablate(config_for(backbones, corpus, tmp_path, "only=[]", "rows=16"))
    assert (report.train.rows, report.compared_on.rows) == (16, 40)
    on_validation = ablate(config_for(backbones, corpus, tmp_path / "other", "only=[]", "apart=0"))
    assert on_validation.compared_on.sha256 != report.compared_on.sha256


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["only=[nothing]"], "only: must be of cosine, .*, found nothing"),
        (["seeds=[1,1]"], r"seeds: must name each seed once, found \[1, 1\]"),
        (["apart=100000"], r"apart: must be <= \d+, as .* has \d+ rows, found 100000"),
        (["rows=100000"], r"rows: must be <= \d+, as .* has \d+ rows, found 100000"),
        (['+switches.bad=["optimizer.nothing=1"]', "only=[bad]"], "switches.bad: must be settings, .*nothing"),
        (['+switches.bad=["optimizer.schedule=up"]', "only=[bad]"], "switches.bad: optimizer.schedule: must be one of"),
        (['+switches.bad=["seed=3"]', "only=[bad]"], "switches.bad: must leave seed, labels and output_dir"),
        (['+switches.base=["seed=3"]'], "switches: must have other names than 'base'"),
    ],
)
def test_mistakes_are_told_before_any_training(
    overrides: list[str], problem: str, backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=problem):
        ablate(config_for(backbones, corpus, tmp_path, *overrides))
    assert not (tmp_path / "out" / "runs").exists()


def test_another_recipe_does_not_mix_with_what_is_there(
    backbones: dict[str, Path], corpus: dict[str, Path], tmp_path: Path
) -> None:
    ablate(config_for(backbones, corpus, tmp_path, "only=[]"))
    before = files_in(tmp_path / "out")
    with pytest.raises(UserError, match="output_dir: must be a folder without an ablation of another recipe"):
        ablate(config_for(backbones, corpus, tmp_path, "only=[]", "optimizer.weight_decay=0.1"))
    assert files_in(tmp_path / "out") == before
