"""Files that Ray's actors predict are those of one process, whatever is lost on the way."""

import os
import signal
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from emotion.errors import UserError
from emotion.partitions import PartitionedPrediction
from support.files import TEXTS
from support.partitions import predict
from support.serving import wait_until

FILES = 6


@pytest.fixture
def weights(originals: dict[str, Path]) -> Path:
    return originals["minilm"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        frame = pd.DataFrame({"text": [f"{text} {number} {turn}" for turn in range(100) for text in TEXTS]})
        frame.to_csv(tmp_path / "in" / f"{number}.csv", index=False)
    return tmp_path / "in"


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def actors() -> list[int]:
    """Processes of Ray's actors, as Linux lists them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(entry.name))
        except OSError:  # it ended
            pass
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # Ray's own
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found as Linux lists them")
def test_a_pool_of_actors_gives_the_same_bytes_also_if_one_is_killed(
    weights: Path, folder: Path, tmp_path: Path
) -> None:
    predict(weights, folder, tmp_path / "alone")
    (folder / "broken.csv").write_text("no such column\na\n")
    out, found = tmp_path / "out", list[PartitionedPrediction]()
    thread = threading.Thread(target=lambda: found.append(predict(weights, folder, out, "engine=ray", "workers=2")))
    thread.start()
    manifest = out / "_manifest.jsonl"
    wait_until(lambda: manifest.exists() and manifest.read_bytes().count(b"\n") >= 1, seconds=200)
    os.kill(actors()[0], signal.SIGKILL)
    thread.join(300)
    assert written(out) == written(tmp_path / "alone")
    assert list(found[0].failed) == ["broken.csv"]
    assert sorted(entry.source for entry in found[0].done) == [f"{number}.csv" for number in range(FILES)]
    again = predict(weights, folder, out, "engine=ray")
    assert (again.kept, list(again.failed)) == (FILES, ["broken.csv"])


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "ray://[::1]:99999"])
def test_a_cluster_that_is_not_there_is_named_at_once(
    address: str, weights: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"^address: must be of a Ray cluster, found none at "):
        predict(weights, folder, tmp_path / "out", "engine=ray", f"address='{address}'")


def test_an_address_without_ray_is_refused(weights: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^address: must be null unless engine=ray, found auto$"):
        predict(weights, folder, tmp_path / "out", "address=auto")


def test_without_ray_its_extra_is_named(
    weights: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(UserError, match=r'^engine=ray needs Ray, found no ray.data: pip install -e "\.\[ray\]"$'):
        predict(weights, folder, tmp_path / "out", "engine=ray")
