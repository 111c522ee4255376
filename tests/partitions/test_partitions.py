"""Many files become as many files of predictions, each once, whatever happened before."""

import gzip
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock

from emotion.checkpoint import load
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.partitions import PartitionedPrediction, names_many, predict_partitions
from emotion.prediction import PredictConfig
from support.command_server import Commands
from support.files import TEXTS, files_in
from support.partitions import predict
from support.serving import wait_until

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [{"id": place, "text": text, "note": None if place % 2 else "a, b"} for place, text in enumerate(TEXTS)]


@pytest.fixture
def weights(originals: dict[str, Path]) -> Path:
    return originals["minilm"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same rows in each format."""
    folder = tmp_path / "in"
    folder.mkdir()
    frame = pd.DataFrame(ROWS)
    frame.to_csv(folder / "a.csv", index=False)
    frame.to_csv(folder / "b.csv.gz", index=False)
    frame.to_parquet(folder / "c.parquet")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "d.jsonl").write_text(lines, encoding="utf-8")
    with gzip.open(folder / "e.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(lines)
    (folder / ".hidden.csv").write_text("text\nno\n")
    (folder / "README.md").write_text("no table")
    return folder


def table(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, as any reader finds them."""
    if path.name.endswith(".parquet"):
        return pd.read_parquet(path).astype(object).where(lambda frame: frame.notna(), None).to_dict("records")
    if ".jsonl" in path.name:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as file:  # type: ignore[operator]
            return [json.loads(line) for line in file]
    return pd.read_csv(path, keep_default_na=False).to_dict("records")


def test_each_file_becomes_one_of_its_own_format(folder: Path, weights: Path, tmp_path: Path) -> None:
    found = predict(weights, folder, tmp_path / "out", "probabilities=true")
    labels = load(weights).predict(TEXTS)
    names = ["a.csv", "b.csv.gz", "c.parquet", "d.jsonl", "e.jsonl.gz"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir() if each.name[0] != ".") == [
        "_manifest.jsonl",
        *names,
    ]
    for name in names:
        rows = table(tmp_path / "out" / name)
        assert [row["predicted_label"] for row in rows] == labels
        assert [row["text"] for row in rows] == TEXTS
        assert [row["id"] for row in rows] == list(range(len(TEXTS)))
        assert all(sum(row[f"probability_{each}"] for each in load(weights).labels.names) > 0.99 for row in rows)
        assert [row["note"] or None for row in rows] == [row["note"] for row in ROWS]
    assert [entry.rows for entry in found.done] == [len(TEXTS)] * 5
    assert found.failed == {}


def test_a_pattern_and_one_format_for_all(folder: Path, weights: Path, tmp_path: Path) -> None:
    predict(weights, folder / "[c-d].*", tmp_path / "out", "format=csv")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.csv")) == ["c.csv", "d.csv"]
    first, second = ((tmp_path / "out" / name).read_bytes() for name in ("c.csv", "d.csv"))
    assert first == second
    assert predict(weights, folder / "c.parquet", tmp_path / "one").done[0].source == "c.parquet"


def test_what_is_done_is_not_done_again(folder: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(weights, folder, out)
    before, times = files_in(out), {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    again = predict(weights, folder, out)
    assert (len(again.done), again.kept) == (0, 5)
    assert times == {path.name: path.stat().st_mtime_ns for path in out.iterdir()} | {
        ".emotion.lock": times[".emotion.lock"]
    }

    (out / "a.csv").unlink()
    (folder / "d.jsonl").write_text(json.dumps({"text": "another"}) + "\n", encoding="utf-8")
    third = predict(weights, folder, out)
    assert sorted(entry.source for entry in third.done) == ["a.csv", "d.jsonl"]
    assert (out / "a.csv").read_bytes() == before["a.csv"]
    assert len(predict(weights, folder, out, "probabilities=true").done) == 5  # other settings


@pytest.mark.parametrize("moment", ["before the target is in place", "while the manifest is written"])
def test_a_crash_loses_and_repeats_nothing(
    moment: str, folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    predict(weights, folder, undisturbed)
    replace = os.replace

    def crash(source: Any, target: Any) -> None:
        if Path(target).name == "b.csv.gz":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            predict(weights, folder, out)
    manifest = out / "_manifest.jsonl"
    if moment.startswith("while"):
        manifest.write_bytes(manifest.read_bytes()[:-9])
    again = predict(weights, folder, out)
    assert [entry.source for entry in again.done] == ["b.csv.gz", "c.parquet", "d.jsonl", "e.jsonl.gz"]
    for name in ("a.csv", "b.csv.gz", "c.parquet", "d.jsonl", "e.jsonl.gz"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()
    assert predict(weights, folder, out).kept == 5


def test_a_part_that_cannot_be_read_leaves_the_others(
    folder: Path, weights: Path, tmp_path: Path, commands: Commands
) -> None:
    (folder / "f.csv").write_text("no,such\n1,2\n")
    (folder / "g.parquet").write_bytes(b"PAR1 nonsense")
    (folder / "h.jsonl").write_text('{"text": "a"}\n{"text": 5}\n')
    (folder / "i.jsonl").write_text('{"text": "a"}\nnonsense\n')
    (folder / "j.csv").write_text("text\n")
    done = commands.run("predict", tmp_path, f"weights={weights}", f"csv={folder}", "output=out")
    assert done.code == 1
    for line in (
        "f.csv: must have",
        "g.parquet: must be a Parquet file",
        "h.jsonl: text must be text, found 5 in row 2",
    ):
        assert line in done.err + done.out
    assert "error: csv: 5 files could not be predicted (f.csv, g.parquet, h.jsonl, i.jsonl, j.csv)" in done.err
    assert "5 files, " in done.out
    assert {path.name for path in (tmp_path / "out").glob("[a-e].*")} == {
        *("a.csv", "b.csv.gz", "c.parquet", "d.jsonl", "e.jsonl.gz")
    }
    assert not list((tmp_path / "out").glob("[f-j].*"))


@pytest.mark.parametrize(
    ("prepare", "csv", "problem"),
    [
        (None, "in/*.tsv", r"csv: must name files of \.csv, .* found none in .*in/\*\.tsv"),
        (None, "in/README.*", r"csv: must name files of .* found .*README\.md"),
        (
            lambda root: (root / "in" / "a.csv.gz").write_bytes(b""),
            "in",
            r"different names, found .*a\.csv and .*a\.csv\.gz",
        ),
        (lambda root: (root / "out").write_text("mine"), "in", "output: must be a folder"),
        (
            lambda root: _write(root / "out" / "a.csv", "mine"),
            "in",
            r"output: .*a\.csv was not written by this program",
        ),
        (lambda root: _write(root / "out" / "_manifest.jsonl", "mine\n"), "in", "_manifest.jsonl was not written by"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_mistakes_are_told_before_any_work(
    prepare: Callable[[Path], object] | None, csv: str, problem: str, weights: Path, tmp_path: Path
) -> None:
    if prepare is not None:
        prepare(tmp_path)
    overrides = ["format=csv"] if "different names" in problem else []
    with pytest.raises(UserError, match=problem):
        predict(weights, tmp_path / csv, tmp_path / "out", *overrides)
    assert not list((tmp_path / "out").glob("*.parquet"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)


def test_an_output_folder_has_one_writer_and_is_not_the_input(folder: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="output: must be another folder than that of the files"):
        predict(weights, folder, folder)
    (tmp_path / "out").mkdir()
    with (
        FileLock(tmp_path / "out" / ".emotion.lock"),
        pytest.raises(UserError, match="output: must be a folder that no other prediction writes into"),
    ):
        predict(weights, folder, tmp_path / "out")
    without = resolve(compose_config("predict", [f"weights={weights}", f"csv={folder}"]), PredictConfig)
    with pytest.raises(UserError, match="output: must be a folder where csv names several files, found none"):
        predict_partitions(without)


def test_a_name_of_one_csv_is_one_csv(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("text\na\n")
    assert not names_many(str(tmp_path / "a[1].csv"))
    assert not names_many(str(tmp_path / "absent.csv"))
    assert not names_many(str(tmp_path / "plain"))
    assert names_many(str(tmp_path))
    assert names_many(str(tmp_path / "*.csv"))
    assert names_many("s.parquet")


def test_a_file_with_columns_of_the_predictions_is_refused(weights: Path, tmp_path: Path) -> None:
    _write(tmp_path / "in" / "a.csv", "text,confidence\na,1\n")
    found = predict(weights, tmp_path / "in", tmp_path / "out")
    assert "must not have a column 'confidence' yet" in found.failed["a.csv"]


@pytest.mark.parametrize("left", [1, 9, 40])
def test_a_first_entry_that_was_cut_off_is_ours(left: int, weights: Path, tmp_path: Path) -> None:
    _write(tmp_path / "in" / "a.csv", "text\na\n")
    predict(weights, tmp_path / "in", tmp_path / "out")
    manifest = tmp_path / "out" / "_manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:left])
    (tmp_path / "out" / "a.csv").unlink()
    assert len(predict(weights, tmp_path / "in", tmp_path / "out").done) == 1
    assert predict(weights, tmp_path / "in", tmp_path / "out").kept == 1


@pytest.mark.slow
def test_several_processes_give_the_same_bytes_also_if_one_is_killed(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(12):
        frame = pd.DataFrame({"text": [f"{text} {number} {turn}" for turn in range(150) for text in TEXTS]})
        frame.to_csv(tmp_path / "in" / f"{number:02}.csv", index=False)
    predict(weights, tmp_path / "in", tmp_path / "alone")
    out, found = tmp_path / "out", list[PartitionedPrediction]()
    thread = threading.Thread(target=lambda: found.append(predict(weights, tmp_path / "in", out, "workers=2")))
    thread.start()
    manifest = out / "_manifest.jsonl"
    wait_until(lambda: manifest.exists() and manifest.read_bytes().count(b"\n") >= 2, seconds=120)
    os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
    thread.join(300)
    assert found[0].failed == {}
    for path in (tmp_path / "alone").glob("*.csv"):
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert predict(weights, tmp_path / "in", out).kept == 12
