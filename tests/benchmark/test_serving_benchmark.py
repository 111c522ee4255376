"""Servers are asked what they are said to be asked, and their figures are compared round by round."""

import os
import sys
from pathlib import Path

import pytest

from emotion.benchmark import BenchmarkConfig
from emotion.benchmark.http_load import ask
from emotion.benchmark.parts import measure
from emotion.benchmark.server_process import running_server
from emotion.checkpoint import load
from emotion.data import LabelledTexts
from emotion.errors import UserError
from emotion.reporting import ServingSpeed
from support.files import TEXTS
from support.labels import EMOTION6
from support.serving import serving, wait_until

pytestmark = pytest.mark.usefixtures("one_thread")


def test_each_text_is_a_request_and_its_time_is_told(originals: dict[str, Path]) -> None:
    with serving(load(originals["minilm"])) as client:
        seconds, together = ask(client.port, TEXTS * 3, clients=4)
        assert len(seconds) == 3 * len(TEXTS)
        assert max(seconds) < together < sum(seconds) + 1
        counts = client.get("/metrics").content
        assert f'emotion_requests_total{{endpoint="predict",status="200"}} {3 * len(TEXTS)}.0' in counts


def test_clients_begin_anew_until_their_time_is_over(originals: dict[str, Path]) -> None:
    with serving(load(originals["minilm"])) as client:
        seconds, together = ask(client.port, TEXTS[:3], clients=2, at_least=1)
        assert len(seconds) > 3
        assert together >= 1
        counts = client.get("/metrics").content
        assert f'emotion_requests_total{{endpoint="predict",status="200"}} {len(seconds)}.0' in counts


def test_an_answer_that_is_no_answer_ends_the_benchmark(originals: dict[str, Path]) -> None:
    with (
        serving(load(originals["minilm"]), "max_characters=3") as client,
        pytest.raises(UserError, match=r"serve: must answer with 200, found http/1\.1 413 .*: .*at most 3 characters"),
    ):
        ask(client.port, ["four"], clients=1)


SERVER = """
import subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

print("a message", file=sys.stderr)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(worker.pid))
HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_server_ends_with_the_processes_that_it_started(tmp_path: Path) -> None:
    told = tmp_path / "worker"
    with running_server([sys.executable, "-c", SERVER, str(told)], "a server") as port:
        assert len(ask(port, TEXTS, clients=1)[0]) == len(TEXTS)
        worker = int(told.read_text())
        os.kill(worker, 0)  # it lives
    wait_until(lambda: not is_running(worker), seconds=10)


def test_a_server_that_ends_before_it_answers_is_named_with_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such model')"]
    with (
        pytest.raises(UserError, match="serve: a server must start, found no such model"),
        running_server(command, "a server"),
    ):
        pass


def is_running(process: int) -> bool:
    """Whether a process has not ended; one that nobody waited for has."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.slow  # each server starts anew
def test_this_projects_server_is_compared_with_its_model_and_with_a_plain_server(
    config: BenchmarkConfig, originals: dict[str, Path], tmp_path: Path
) -> None:
    config = config.updated(quick=True, rounds=1, served=[str(originals["minilm"])])
    data = LabelledTexts.read(config.data.train, "text", "label", EMOTION6, "data.train")
    found = measure("serve", config.quickened(), data, tmp_path)["serving"]
    assert isinstance(found, ServingSpeed)
    assert found.rows == 64
    names = [name for name in found.sides if not name.startswith("LitServe")]
    ours = [f"this project, {model}" for model in ("FP32", "onnx_int8", "best_MiniLM")]
    assert names == [*ours, "FastAPI with transformers' pipeline, FP32"]
    for name in ours:
        side = found.sides[name]
        assert side.added_p50_ms is not None
        assert side.share_of_model is not None
        assert 0 < side.p50_ms.median <= side.p99_ms.median
        assert side.added_p50_ms.median < side.p50_ms.median
        assert side.share_of_batches is not None
        assert min(side.share_of_model.median, side.share_of_batches.median) > 0
    assert found.sides[names[-1]].share_of_model is found.sides[names[-1]].share_of_batches is None
