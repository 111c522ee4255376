"""A model's files are replaced together, even if others publish at the same time or the process is killed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emotion.checkpoint import load
from emotion.errors import UserError
from emotion.files import sha256
from emotion.reporting import announced_run, is_rows, read_report
from emotion.training.deliverables import Deliverables
from support.files import files_in
from support.training_reports import publish_run

PROCESSES = """
import os, sys
from pathlib import Path
tests, backbone, folder, mode = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
sys.path[:0] = [str(tests), str(tests.parent)]
from support.predictors import untrained
from support.training_reports import publish_run
predictor = untrained("minilm", backbone)
NAMES = ["A", "B", "A"]

def fork(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child

def exit_code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def publish_several(number):
    for repeat in range(3):
        publish_run(folder, predictor, NAMES[number], f"{number}-{repeat}", 0.1 * number + 0.2 * repeat)

def killed_at(rename):
    copy, seen = folder / f"killed_at_{rename}", []
    def count(event, arguments):
        if event == "os.rename":
            seen.append(arguments)
            if len(seen) == rename:
                os._exit(9)
    def work():
        sys.addaudithook(count)
        publish_run(copy, predictor, "MiniLM", "second", 0.5)
    import shutil
    shutil.copytree(folder / "before", copy)
    return exit_code(fork(work))

if mode == "at once":
    codes = [exit_code(child) for child in [fork(lambda number=number: publish_several(number)) for number in range(3)]]
    sys.exit(max(codes))
publish_run(folder / "before", predictor, "MiniLM", "zeroth", 0.2)
publish_run(folder / "before", predictor, "MiniLM", "first", 0.25)
rename = 1
while (code := killed_at(rename)) == 9:
    rename += 1
sys.exit(code)
"""


def run_processes(backbone: Path, folder: Path, mode: str) -> None:
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROCESSES, str(tests), str(backbone), str(folder), mode]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def require_consistent(folder: Path) -> None:
    """Check that what the report says about each model's files is true."""
    report = read_report(folder)
    for name, entry in report.models.items():
        files = Deliverables(folder, name)
        assert sha256(files.checkpoint) == entry.checkpoint_sha256
        assert entry.predictions is not None
        assert sha256(folder / entry.predictions.file) == entry.predictions.sha256
        (run,) = (run for run in report.runs if run.run_id == entry.run_id)
        assert run.kept
        assert run.macro_f1 == entry.macro_f1
        assert run.predictions is not None
        assert run.predictions.sha256 == entry.predictions.sha256


def test_processes_that_publish_at_once_lose_nothing(backbones: dict[str, Path], tmp_path: Path) -> None:
    run_processes(backbones["minilm"], tmp_path, "at once")
    report = read_report(tmp_path)
    assert len({run.run_id for run in report.runs}) == len(report.runs) == 9
    assert report.models.keys() == {"A", "B"}
    require_consistent(tmp_path)
    kept = {name: [run for run in report.runs if run.model_name == name and run.kept][-1] for name in ("A", "B")}
    assert {name: run.run_id for name, run in kept.items()} == {n: e.run_id for n, e in report.models.items()}
    assert announced_run(tmp_path) is None
    (tmp_path / "emotion_classification_report.json").unlink()
    rebuilt = read_report(tmp_path)
    assert {run.run_id for run in rebuilt.runs} == {run.run_id for run in report.runs}
    assert rebuilt.models.keys() == report.models.keys()


def test_a_process_that_is_killed_leaves_the_old_state_or_the_new_one(
    backbones: dict[str, Path], tmp_path: Path
) -> None:
    run_processes(backbones["minilm"], tmp_path, "killed")
    folders = sorted(tmp_path.glob("killed_at_*"), key=lambda path: int(path.name.rpartition("_")[2]))
    assert len(folders) > 8, "a process must be killed at each of the files"
    before, after = (_visible(folder) for folder in (tmp_path / "before", folders[-1]))
    curves = "visualizations/MiniLM_training_curves.png"  # both runs have the same history
    assert all(before[name] != after[name] for name in before if name != curves)
    states = []
    for folder in folders:
        Deliverables(folder, "Other").require_free()  # as the next training does, of any model
        require_consistent(folder)
        found = _visible(folder)
        report = found.pop("report")
        states.append("old" if report == before["report"] else "new")
        assert report == (before if states[-1] == "old" else after)["report"]
        expected = {name: each for name, each in (before if states[-1] == "old" else after).items() if name != "report"}
        assert found == expected, folder
        assert announced_run(folder) is None
    assert states == sorted(states, reverse=True), "old until the checkpoint is replaced, then new"
    assert {"old", "new"} == set(states)


def _visible(folder: Path) -> dict[str, object]:
    """Files whose content a reader relies on, and the report without times that differ from run to run."""
    files = files_in(folder)
    names = ("best_MiniLM.pt", "best_MiniLM.previous.pt", "predictions/MiniLM_validation.csv")
    pictures = [f"visualizations/MiniLM_{each}.png" for each in ("confusion_matrix", "training_curves")]
    report = read_report(folder)
    runs = [(Path(run.run_id).name, run.macro_f1, run.kept) for run in report.runs]
    entries = {name: (Path(entry.run_id).name, entry.macro_f1) for name, entry in report.models.items()}
    return {**{name: files[name] for name in (*names, *pictures)}, "report": (runs, entries)}


def test_predictions_that_were_edited_are_not_replaced(originals: dict[str, Path], tmp_path: Path) -> None:
    predictor = load(originals["minilm"])
    publish_run(tmp_path, predictor, "MiniLM", "first", 0.5)
    rows = tmp_path / "predictions" / "MiniLM_validation.csv"
    assert is_rows(rows)
    with rows.open("a") as file:
        file.write("99,0,0,1,0,0,0,0,0\n")
    before = files_in(tmp_path)
    with pytest.raises(UserError, match=r"^output_dir: .*MiniLM_validation\.csv was changed or replaced since"):
        publish_run(tmp_path, predictor, "MiniLM", "second", 0.7)
    shutil.rmtree(tmp_path / "second")
    assert files_in(tmp_path) == before


def test_what_an_earlier_version_recorded_is_kept(originals: dict[str, Path], tmp_path: Path) -> None:
    """Runs of an earlier version have no files of their own."""
    earlier = Path(__file__).parents[1] / "support" / "earlier_version" / "emotion_classification_report.json"
    content = json.loads(earlier.read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    shutil.copy(earlier, tmp_path)
    publish_run(tmp_path, load(originals["bertweet"]), "BERTweet", "new", 0.7)
    merged = json.loads((tmp_path / earlier.name).read_text(encoding="utf-8"))
    assert merged["schema_version"] == 3
    assert [run["run_id"] for run in merged["runs"]] == [
        *(run["run_id"] for run in content["runs"]),
        str(tmp_path / "new"),
    ]
    assert merged["models"].keys() == {*content["models"], "BERTweet"}
    for name, entry in content["models"].items():
        assert _without_empty_additions(merged["models"][name], entry) == entry, "all is kept, and nothing is made up"


def _without_empty_additions(kept: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Leave out fields that ``entry`` lacks and that hold nothing, also within other fields."""
    return {
        key: _without_empty_additions(value, entry[key]) if isinstance(value, dict) and key in entry else value
        for key, value in kept.items()
        if key in entry or value
    }
