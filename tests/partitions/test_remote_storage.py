"""Files behind URLs: predicted as on this machine, once each, on a server that speaks S3."""

import gzip
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from emotion.errors import UserError
from emotion.partitions import work as work_module
from support.files import TEXTS
from support.partitions import predict

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

NAMES = ["a.csv", "b.csv.gz", "c.parquet", "d.jsonl"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a bucket with a folder of the same rows in each format."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # fsspec remembers connections by their arguments alone
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("bucket")
    frame = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS})
    put("in/a.csv", frame.to_csv(index=False).encode())
    put("in/b.csv.gz", gzip.compress(frame.to_csv(index=False).encode()))
    put("in/c.parquet", frame.to_parquet())
    put("in/d.jsonl", "".join(json.dumps(row) + "\n" for row in frame.to_dict("records")).encode())
    put("in/_SUCCESS", b"")
    put("in/more/e.csv", b"text\nfolders are not searched\n")
    yield "s3://bucket"
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()


def system() -> fsspec.AbstractFileSystem:
    return fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)


def put(name: str, content: bytes) -> None:
    system().pipe_file(f"bucket/{name}", content)


def written(folder: str) -> dict[str, bytes]:
    found = system().find(f"bucket/{folder}", maxdepth=1)
    return {path.rpartition("/")[2]: system().cat_file(path) for path in found}


@pytest.fixture
def weights(originals: dict[str, Path]) -> Path:
    return originals["minilm"]


@pytest.fixture
def copies(bucket: str, tmp_path: Path) -> Path:
    """The same files on this machine."""
    assert bucket
    (tmp_path / "in").mkdir()
    for name in NAMES:
        (tmp_path / "in" / name).write_bytes(system().cat_file(f"bucket/in/{name}"))
    return tmp_path / "in"


def test_remote_files_become_what_local_ones_do(bucket: str, copies: Path, weights: Path, tmp_path: Path) -> None:
    predict(weights, copies, tmp_path / "out")
    expected = {name: (tmp_path / "out" / name).read_bytes() for name in NAMES}
    found = predict(weights, f"{bucket}/in", f"{bucket}/out")
    assert [entry.source for entry in found.done] == NAMES
    assert written("out") == expected
    predict(weights, f"{bucket}/in/*.csv*", tmp_path / "here")  # from there to here
    predict(weights, copies, f"{bucket}/there/", "workers=2")  # and from here to there, in other processes
    assert {name: (tmp_path / "here" / name).read_bytes() for name in NAMES[:2]} == {
        name: expected[name] for name in NAMES[:2]
    }
    assert written("there") == expected


def test_what_is_done_is_not_done_again(bucket: str, weights: Path) -> None:
    predict(weights, f"{bucket}/in", f"{bucket}/out")
    times = {path: system().info(path)["LastModified"] for path in system().find("bucket/out")}
    again = predict(weights, f"{bucket}/in", f"{bucket}/out")
    assert (len(again.done), again.kept) == (0, 4)
    assert {path: system().info(path)["LastModified"] for path in system().find("bucket/out")} == times
    put("in/a.csv", b"text\nanother\n")
    system().rm_file("bucket/out/c.parquet")
    put("out/d.jsonl", b"cut off")
    with pytest.raises(UserError, match=r"^output: s3://bucket/out/d\.jsonl was not written by this program"):
        predict(weights, f"{bucket}/in", f"{bucket}/out")
    system().rm_file("bucket/out/d.jsonl")
    third = predict(weights, f"{bucket}/in", f"{bucket}/out")
    assert [entry.source for entry in third.done] == ["a.csv", "c.parquet", "d.jsonl"]


def test_a_crash_leaves_whole_files_alone(bucket: str, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict(weights, f"{bucket}/in", f"{bucket}/undisturbed")
    append = work_module.append

    def crash(folder: str, entry: work_module.Entry) -> None:
        append(folder, entry)
        if entry.source == "b.csv.gz":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work_module, "append", crash)
        with pytest.raises(KeyboardInterrupt):
            predict(weights, f"{bucket}/in", f"{bucket}/out")
    assert list(written("out")) == ["a.csv"]
    again = predict(weights, f"{bucket}/in", f"{bucket}/out")
    assert [entry.source for entry in again.done] == NAMES[1:]
    assert written("out") == written("undisturbed")


def test_a_file_that_cannot_be_read_is_named_by_its_url(bucket: str, weights: Path) -> None:
    put("in/f.csv", b"no,such\n1,2\n")
    put("in/g.parquet", b"PAR1 nonsense")
    found = predict(weights, f"{bucket}/in", f"{bucket}/out")
    assert len(found.done) == 4
    assert found.failed["f.csv"].startswith("s3://bucket/in/f.csv: must have")
    assert found.failed["g.parquet"].startswith("s3://bucket/in/g.parquet: must be a Parquet file, found")


@pytest.mark.parametrize(
    ("csv", "output", "problem"),
    [
        ("s3://bucket/none", "out", r"csv: must name files of \.csv, .*, found none in s3://bucket/none"),
        ("s3://nowhere/in/*.csv", "out", r"csv: must name files of .*, found none in s3://nowhere/in/\*\.csv"),
        (
            "s3://bucket/in",
            "s3://nowhere/out",
            "output: must be in a bucket that exists, found no nowhere for s3://nowhere/out",
        ),
        ("s3://bucket/in", "s3://bucket/in", "output: must be another folder than that of the files, found s3://buck"),
        ("s3://bucket/in", "s3://bucket/in/a.csv", "output: must be a folder where csv names several files, found s3"),
        ("gs://bucket/in", "out", "gs://bucket/in: must be of a known kind of storage, found .*gcsfs"),
        ("nonsense://bucket/in", "out", "nonsense://bucket/in: must be of a known kind of storage, found Protocol not"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_mistakes_are_one_line(csv: str, output: str, problem: str, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^({problem})") as found:
        predict(weights, csv, output if "://" in output else tmp_path / output)
    assert "\n" not in str(found.value)


def test_a_server_that_is_gone_is_named(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(UserError, match=r"^s3://elsewhere/in: must be reachable, found \w+: "):
        predict(weights, "s3://elsewhere/in", tmp_path / "out")
