"""The training report: merging from many processes, its schema, and files that are no reports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from emotion.errors import UserError
from emotion.reporting import (
    REPORT_NAME,
    TrainingReport,
    announce_run,
    announced_run,
    collect_report,
    complete_run,
    merge_run,
    read_report,
    replaces,
    succeeds_itself,
    sweep_rival,
    withdraw_run,
    write_report,
    write_run,
)
from support.training_reports import entry, run_record


def test_a_report_survives_the_file(tmp_path: Path) -> None:
    report, run = TrainingReport(), run_record()
    merge_run(report, run, entry(run))
    write_report(report, tmp_path)
    assert read_report(tmp_path) == report
    content = json.loads((tmp_path / REPORT_NAME).read_text())
    assert isinstance(content["models"]["MiniLM"]["latency_ms_per_sample"], float)
    assert content["models"]["MiniLM"]["per_class"]["fear"]["recall"] == 1.0
    assert content["accuracy_target"] == 0.80


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("precious", "must be a JSON report"),
        ("[1]", "must have schema_version 1 to 3, found None"),
        ('{"schema_version": 4}', "must have schema_version 1 to 3, found 4"),
        ('{"schema_version": 1, "models": {"A": {}}}', r"models\.A\.\w+: Field required"),
        ('{"schema_version": 1, "extra": 5}', "extra"),
    ],
)
def test_a_file_that_is_no_report_is_refused_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / REPORT_NAME).write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_report(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_schema_refuses_impossible_numbers() -> None:
    with pytest.raises(ValidationError):
        run_record(macro_f1=float("nan"))
    with pytest.raises(ValidationError):
        run_record(macro_f1=1.2)


def test_a_run_is_compared_only_with_runs_of_its_own_sweep_and_data() -> None:
    report, first = TrainingReport(), run_record(macro_f1=0.7, sweep="s")
    merge_run(report, first, entry(first))
    assert sweep_rival(report, run_record(sweep=None)) is None
    assert sweep_rival(report, run_record(sweep="other")) is None
    assert sweep_rival(report, run_record("BERTweet", sweep="s")) is None
    assert sweep_rival(report, run_record(sweep="s", data="other")) is None
    assert sweep_rival(report, run_record(sweep="s")) == first
    merge_run(report, run_record(macro_f1=0.2), entry(run_record(macro_f1=0.2)))  # a separate training in between
    assert sweep_rival(report, run_record(sweep="s")) == first
    assert sweep_rival(report, first) is None, "a run that is resumed after it was merged is not its own rival"
    assert not replaces(run_record(macro_f1=0.7, sweep="s"), first)
    assert replaces(run_record(macro_f1=0.71, sweep="s"), first)
    assert replaces(run_record(macro_f1=0.1), None)


def test_a_model_succeeds_itself_if_its_entry_is_of_the_same_run_or_sweep() -> None:
    report, first = TrainingReport(), run_record(macro_f1=0.7, sweep="s")
    assert not succeeds_itself(report, first), "there is no entry yet"
    merge_run(report, first, entry(first))
    assert succeeds_itself(report, first)
    assert succeeds_itself(report, run_record(macro_f1=0.8, sweep="s"))
    assert not succeeds_itself(report, run_record(macro_f1=0.8, sweep="other"))
    assert not succeeds_itself(report, run_record(macro_f1=0.8))
    assert not succeeds_itself(report, run_record("BERTweet", macro_f1=0.8, sweep="s"))


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], str(Path(sys.argv[2]).parent)]
from support.training_reports import entry, run_record
from emotion.reporting import locked, merge_run, read_report, write_report
folder = Path(sys.argv[1])
for number in range(20):
    with locked(folder):
        report, run = read_report(folder), run_record(sys.argv[3], number / 100)
        merge_run(report, run, entry(run))
        write_report(report, folder)
"""


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    names = ["A", "B", "C"]
    here = str(Path(__file__).parent)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), here, name]) for name in names]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    report = read_report(tmp_path)
    assert sorted(report.models) == names
    assert sorted((run.model_name, run.macro_f1) for run in report.runs) == [
        (name, number / 100) for name in names for number in range(20)
    ]
    assert {path.name for path in tmp_path.iterdir()} == {REPORT_NAME, ".emotion.lock"}


def test_runs_are_collected_from_their_own_files(tmp_path: Path) -> None:
    """As when a process ended after it wrote the run's file but not the report, or somebody deleted the report."""
    first, second = run_record(macro_f1=0.4), run_record("BERTweet", macro_f1=0.6)
    report = TrainingReport()
    merge_run(report, first, entry(first))
    write_report(report, tmp_path)
    write_run(first, entry(first), tmp_path)
    write_run(second, entry(second), tmp_path)
    collected = read_report(tmp_path)
    assert [run.run_id for run in collected.runs] == [first.run_id, second.run_id], "each counts once"
    assert collected.models["BERTweet"] == entry(second)
    assert collected.best_model == "BERTweet"
    (tmp_path / REPORT_NAME).unlink()
    assert {run.run_id for run in read_report(tmp_path).runs} == {first.run_id, second.run_id}


def test_a_run_that_is_published_again_replaces_itself() -> None:
    report, run = TrainingReport(), run_record()
    merge_run(report, run, entry(run))
    again = run.model_copy(update={"train_seconds": 2.0})
    merge_run(report, again, entry(again))
    assert report.runs == [again]


def test_a_report_of_version_1_is_read(tmp_path: Path) -> None:
    report, run = TrainingReport(), run_record()
    merge_run(report, run, entry(run))
    content = json.loads(report.model_dump_json())
    content["schema_version"] = 1
    del content["models"]["MiniLM"]["predictions"]
    (tmp_path / REPORT_NAME).write_text(json.dumps(content))
    assert read_report(tmp_path) == report


def test_a_half_written_run_of_a_killed_process_is_ignored(tmp_path: Path) -> None:
    run = run_record()
    write_run(run, entry(run), tmp_path)
    (tmp_path / "emotion_runs" / ".MiniLM_0.1234.json").write_text('{"run": ')
    assert read_report(tmp_path).runs == [run]


def test_a_run_that_ended_earlier_does_not_displace_a_later_one(tmp_path: Path) -> None:
    """The earlier run has a file of its own, but is not in the report."""
    early = run_record(macro_f1=0.4).model_copy(update={"finished": "2030-01-01T00:00:00+00:00"})
    late = run_record(macro_f1=0.3).model_copy(update={"finished": "2030-01-02T00:00:00+00:00"})
    report = TrainingReport()
    merge_run(report, late, entry(late))
    write_report(report, tmp_path)
    write_run(early, entry(early), tmp_path)
    collected = read_report(tmp_path)
    assert {run.run_id for run in collected.runs} == {early.run_id, late.run_id}
    assert collected.models["MiniLM"].run_id == late.run_id


def test_a_resumed_run_replaces_its_earlier_state(tmp_path: Path) -> None:
    """The run's file is newer than the report if the process was killed before it wrote the report."""
    run = run_record()
    report = TrainingReport()
    merge_run(report, run, entry(run))
    write_report(report, tmp_path)
    resumed = run.model_copy(update={"finished": "2030-01-02T00:00:00+00:00", "train_seconds": 9.0})
    write_run(resumed, entry(resumed), tmp_path)
    assert collect_report(tmp_path).runs == [resumed]
    (tmp_path / "emotion_runs").rename(tmp_path / "gone")
    assert read_report(tmp_path).runs == [resumed], "the report was written"


def test_an_announced_run_counts_only_once_it_is_complete(tmp_path: Path) -> None:
    run = run_record()
    announce_run(run, entry(run), tmp_path)
    assert read_report(tmp_path).runs == []
    announced = announced_run(tmp_path)
    assert announced is not None
    assert announced.run == run
    withdraw_run(tmp_path)
    assert announced_run(tmp_path) is None
    announce_run(run, entry(run), tmp_path)
    complete_run(tmp_path)
    assert announced_run(tmp_path) is None
    assert read_report(tmp_path).models == {"MiniLM": entry(run)}
