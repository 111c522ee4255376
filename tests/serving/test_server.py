"""The server answers as the predictor does, whoever else asks, and refuses in one line what it cannot answer."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
import torch
from opentelemetry import trace

from emotion.checkpoint import load
from emotion.compression.steps.onnx import export_onnx
from emotion.config import PROJECT
from emotion.models import NotFiniteError, Predictions, Predictor
from support.command_server import Commands
from support.files import TEXTS
from support.predictors import untrained
from support.serving import Client, serving, wait_until

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def predictor(originals: dict[str, Path]) -> Predictor:
    return load(originals["minilm"])


@pytest.fixture
def client(predictor: Predictor) -> Iterator[Client]:
    with serving(predictor, "max_texts=64", "max_characters=1000", "max_body_mb=0.1") as client:
        yield client


def alone(predictor: Predictor, text: str) -> dict[str, float]:
    return dict(zip(predictor.labels.names, predictor.predict_proba([text])[0].tolist(), strict=True))


def by_label(answer: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {each["label"]: each["score"] for each in answer}


def test_a_text_has_its_labels_the_most_probable_first(client: Client, predictor: Predictor) -> None:
    one = client.post({"inputs": TEXTS[0]})
    assert one.status == 200
    assert by_label(one.content) == pytest.approx(alone(predictor, TEXTS[0]), abs=1e-6)
    assert [each["score"] for each in one.content] == sorted((each["score"] for each in one.content), reverse=True)
    several = client.post({"inputs": TEXTS, "parameters": {"top_k": 2}}).content
    assert [each[0]["label"] for each in several] == [predictor.labels.names[i] for i in predictor.predict(TEXTS)]
    assert {len(each) for each in several} == {2}
    logits = by_label(client.post({"inputs": TEXTS[0], "parameters": {"function_to_apply": "none"}}).content)
    exponents = np.exp(list(logits.values()))
    assert dict(zip(logits, exponents / exponents.sum(), strict=True)) == pytest.approx(by_label(one.content), abs=1e-5)


def test_who_else_asks_changes_no_answer(client: Client, predictor: Predictor) -> None:
    texts = [f"{text} {number}" for number in range(6) for text in TEXTS]
    _ask_at_once(client, predictor, texts)
    counts = client.get("/metrics").content
    assert f'emotion_requests_total{{endpoint="predict",status="200"}} {len(texts)}.0' in counts
    assert f"emotion_batch_texts_sum {len(texts)}.0" in counts
    assert f'emotion_request_seconds_bucket{{endpoint="predict",le="+Inf"}} {len(texts)}.0' in counts


def test_nor_does_it_with_onnx_runtime_whose_threads_share_a_batch(backbones: dict[str, Path]) -> None:
    torch.set_num_threads(2)  # until the fixture one_thread ends
    exported = export_onnx(untrained("minilm", backbones["minilm"]))
    with serving(exported) as client:
        _ask_at_once(client, exported, [f"{text} {number}" for number in range(6) for text in TEXTS])


def _ask_at_once(client: Client, predictor: Predictor, texts: Sequence[str]) -> None:
    with ThreadPoolExecutor(16) as clients:
        replies = list(clients.map(lambda text: client.post({"inputs": text}), texts))
    for text, reply in zip(texts, replies, strict=True):
        assert by_label(reply.content) == pytest.approx(alone(predictor, text), abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b'{"inputs": ', 422, "body: must be JSON in UTF-8, found "),
        (b'{"inputs": "\xff"}', 422, "body: must be JSON in UTF-8, found "),
        (b'{"inputs": "\\ud800"}', 422, "body: must be JSON in UTF-8, found "),
        ({"inputs": 5}, 422, "inputs: must be a text or a list of texts, found 5$"),
        ({"inputs": ["a", None]}, 422, r"inputs\[1\]: must be a text, found null$"),
        (b'{"inputs": %s}' % (b"9" * 4000), 422, r"inputs: must be a text or a list of texts, found .{1,100}$"),
        ({"inputs": [["a"]]}, 422, r"inputs\[0\]: must be a text, found a list$"),
        ({"inputs": []}, 422, "inputs: must hold at least one text, found none"),
        ({"texts": "a"}, 422, "inputs: must be given, found none$"),
        ({"inputs": "a", "k": 1}, 422, "body: must have the keys that /docs describes alone, found 'k'$"),
        (
            {"inputs": "a", "parameters": {"top_k": 0}},
            422,
            "parameters.top_k: must be greater than or equal to 1, found 0$",
        ),
        ({"inputs": "a", "parameters": {"top_k": True}}, 422, "parameters.top_k: must be a valid integer, found true$"),
        ({"inputs": "a", "parameters": {"function_to_apply": "sigmoid"}}, 422, "parameters.function_to_apply: "),
        ({"inputs": ["a"] * 65}, 413, "inputs: must hold at most 64 texts, found 65"),
        ({"inputs": ["a", "b" * 1001]}, 413, r"inputs\[1\]: must have at most 1,000 characters, found 1,001"),
        ({"inputs": "x" * 100_000}, 413, "request: must have at most 100,000 bytes, found 100,014$"),
        ({f"key{n}": 1 for n in range(6000)}, 422, "body: must be of the form that /docs describes, found 6,001 mist"),
        ({"k" * 90_000: 1, "inputs": "a"}, 422, "body: must have the keys that /docs describes alone, found .{80}$"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(
    body: Any, status: int, reason: str, client: Client, predictor: Predictor
) -> None:
    reply = client.post(body)
    assert reply.status == status
    assert list(reply.content) == ["error"]
    assert re.match(reason, reply.content["error"])
    assert "\n" not in reply.content["error"]
    assert by_label(client.post({"inputs": TEXTS[0]}).content) == pytest.approx(alone(predictor, TEXTS[0]), abs=1e-6)


def test_a_body_without_a_length_is_counted_as_it_comes(client: Client) -> None:
    chunks = (b"x" * 10_000 for _ in range(50))
    assert client.send("POST", "/predict", chunks, {}).status == 413
    assert client.get("/health").status == 200


def test_ten_megabytes_are_refused_to_a_client_that_sends_all_before_it_reads(predictor: Predictor) -> None:
    with serving(predictor) as client:
        for path, body in (("/predict", {"inputs": "x" * 12_000_000}), ("/predict", b"x" * 20_000_000)):
            reply = client.post(body, path)
            assert reply.status == 413
            assert reply.content["error"].startswith("request: must have at most 10,000,000 bytes, found ")
        counts = client.get("/metrics").content
        assert 'emotion_requests_total{endpoint="refused",status="413"} 2.0' in counts


def test_a_hundred_thousand_texts_are_refused(predictor: Predictor) -> None:
    with serving(predictor) as client:
        reply = client.post({"inputs": ["a"] * 100_000})
        assert reply.status == 413
        assert reply.content["error"] == "inputs: must hold at most 256 texts, found 100,000"


def test_other_places_and_ways_are_refused_in_the_same_form(client: Client) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/predict", 405), ("POST", "/health", 405)):
        reply = client.send(method, path, b"{}", {})
        assert reply.status == status
        reason = f"request: must be one of those that /docs describes, found {method} {path!r}"
        assert reply.content == {"error": reason}


def test_a_token_opens_what_it_guards(predictor: Predictor) -> None:
    with serving(predictor, token="secret") as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            for reply in (client.post({"inputs": "a"}, **headers), client.get("/metrics", **headers)):
                assert reply.status == 401
                assert f"found {'another' if headers else 'none'}" in reply.content["error"]
        for scheme in ("Bearer", "bearer"):
            assert client.post({"inputs": "a"}, Authorization=f"{scheme} secret").status == 200
        described = client.get("/openapi.json").content
        scheme = described["components"]["securitySchemes"]["token"]
        assert (scheme, described["security"]) == ({"type": "http", "scheme": "bearer"}, [{"token": []}])
        for path in ("/health", "/ready", "/v2/health/ready", "/", "/docs", "/docs-files/swagger-ui.css"):
            assert client.get(path).status == 200


@pytest.mark.parametrize("token", ["a secret", "secret\r", "geheim\u00e9"])
def test_a_token_that_no_header_can_hold_is_refused_before_the_model_is_loaded(
    token: str, commands: Commands, tmp_path: Path
) -> None:
    done = commands.run("serve", tmp_path, "weights=none.pt", EMOTION_API_TOKEN=token)
    assert done.code == 1
    assert "EMOTION_API_TOKEN: must consist of printable ASCII characters without spaces, found others" in done.err


def test_whoever_watches_may_ask_for_heads_alone(client: Client) -> None:
    for path in ("/", "/health", "/ready"):
        assert client.send("HEAD", path, None, {}).status == 200


def test_a_client_that_offers_http_2_is_answered_over_http_1(client: Client, predictor: Predictor) -> None:
    body = json.dumps({"inputs": TEXTS[0]}).encode()
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\n" + offer + f"Content-Length: {len(body)}\r\n\r\n".encode()
    for parts in ((head + body,), (head, body)):
        with client.connect() as connection:
            for part in parts:
                connection.sendall(part)
                sleep(0.05)
            answer = HTTPResponse(connection)
            answer.begin()
            assert answer.status == 200
            assert by_label(json.loads(answer.read())) == pytest.approx(alone(predictor, TEXTS[0]), abs=1e-6)


@pytest.mark.parametrize("path", ["/predict", "/v2/models/MiniLM/infer"])
@pytest.mark.parametrize("key", ["inputs", "shape", "outputs", "key"])
def test_ten_megabytes_of_mistakes_stop_nobody_else(key: str, path: str, predictor: Predictor) -> None:
    ones = f"[{'9,' * 4_000_000}9]"
    tensor = f'{{"name": "t", "datatype": "BYTES", "data": ["a"], "shape": {ones if key == "shape" else [1]}}}'
    many = ",".join(f'"{number}": 1' for number in range(600_000))
    body = {
        "inputs": f'{{"inputs": {ones}}}',
        "shape": f'{{"inputs": [{tensor}]}}',
        "outputs": f'{{"inputs": [{tensor}], "outputs": {ones}}}',
        "key": f'{{"inputs": 5, "parameters": {{{many}}}}}',
    }[key]
    with serving(predictor) as client, ThreadPoolExecutor(1) as clients:
        client.post({"inputs": "a"})
        start = monotonic()
        refused = clients.submit(client.post, body.encode(), path)
        assert client.get("/health").status == 200
        assert refused.result().status == 422
        assert len(refused.result().content["error"]) < 400
        assert monotonic() - start < 10  # it took minutes, or gigabytes


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Lets the model compute once it is set."""
    gate, predict = threading.Event(), Predictor.predict_texts

    def wait(self: Predictor, *arguments: Any) -> Predictions:
        assert gate.wait(20)
        return predict(self, *arguments)

    monkeypatch.setattr(Predictor, "predict_texts", wait)
    return gate


def test_too_many_waiting_texts_are_refused_and_the_server_recovers(
    predictor: Predictor, gate: threading.Event
) -> None:
    with serving(predictor, "max_waiting=3") as client, ThreadPoolExecutor(8) as clients:
        first = clients.submit(client.post, {"inputs": "computed"})
        wait_until(lambda: "emotion_batch_texts_count 1.0" in client.get("/metrics").content)
        waiting = clients.submit(client.post, {"inputs": ["w1", "w2", "w3"]})
        wait_until(lambda: "emotion_waiting_texts 3.0" in client.get("/metrics").content)
        refused = client.post({"inputs": "too many"})
        assert refused.status == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.content["error"] == "request: must wait: 3 texts wait already, of at most 3"
        gate.set()
        assert [first.result().status, waiting.result().status] == [200, 200]
        assert client.post({"inputs": "later"}).status == 200


def test_requests_that_were_taken_are_finished_when_the_server_stops(
    predictor: Predictor, gate: threading.Event
) -> None:
    with ThreadPoolExecutor(2) as clients:
        with serving(predictor) as client:
            taken = clients.submit(client.post, {"inputs": TEXTS})
            wait_until(lambda: "emotion_batch_texts_count 1.0" in client.get("/metrics").content)
            threading.Timer(0.5, gate.set).start()
        assert taken.result().status == 200
    with pytest.raises(ConnectionRefusedError):
        client.connect()


def test_a_request_that_takes_too_long_is_told_so_when_the_server_stops(
    predictor: Predictor, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(1) as clients:
        with serving(predictor, "stop_seconds=1") as client:
            taken = clients.submit(client.post, {"inputs": TEXTS})
            wait_until(lambda: "emotion_batch_texts_count 1.0" in client.get("/metrics").content)
            threading.Timer(3, gate.set).start()
        assert taken.result().status == 503
    assert "must be done 1 seconds after the server was stopped" in taken.result().content["error"]
    assert "Traceback" not in caplog.text


def test_what_nobody_foresaw_has_the_form_of_all_errors(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion.serving.app.scores", None)  # a mistake of the server's own
    with serving(predictor) as client:
        reply = client.post({"inputs": "a"})
        assert (reply.status, reply.content) == (500, {"error": "server: failed; its log says why"})
        assert 'emotion_requests_total{endpoint="predict",status="500"} 1.0' in client.get("/metrics").content


@pytest.mark.usefixtures("default_handlers")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_the_process_finishes_what_it_took_before_it_ends(
    number: signal.Signals, code: int, originals: dict[str, Path]
) -> None:
    with server_process(originals["minilm"]) as (process, client), ThreadPoolExecutor(1) as clients:
        texts = [f"so glad that day {number} is over " * 20 for number in range(100)]
        taken = clients.submit(client.post, {"inputs": texts})
        wait_until(lambda: taken.done() or "emotion_batch_texts_count 1.0" in client.get("/metrics").content)
        process.send_signal(number)
        assert taken.result().status == 200
        assert process.wait(30) == code, "as shells expect of a process that a signal ends"
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()


@contextmanager
def server_process(weights: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """Start scripts/serve.py, and end it if it still runs after the block."""
    command = [sys.executable, str(PROJECT / "scripts" / "serve.py"), f"weights={weights}", "port=0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
    ) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "answers at http://" in line)
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert found is not None, line
            yield process, Client(int(found[1]))
        finally:
            process.kill()


def test_whoever_opens_the_server_to_all_without_a_token_is_warned(originals: dict[str, Path]) -> None:
    script = str(PROJECT / "scripts" / "serve.py")
    command = [sys.executable, script, f"weights={originals['minilm']}", "port=0", "host=0.0.0.0"]
    for token in ("", "secret"):
        environment = os.environ | {"EMOTION_API_TOKEN": token}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            told = ""
            for line in process.stdout:
                told += line
                if "answers at http://" in line:
                    break
            process.kill()
        assert "answers at http://0.0.0.0:" in told
        assert ("whoever reaches 0.0.0.0 can use the model" in told) == (not token)


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_no_thread_but_the_models_keeps_a_team_of_openmps(originals: dict[str, Path]) -> None:
    threads = {}
    for count in (1, 4):
        with server_process(originals["minilm"], OMP_NUM_THREADS=str(count), OPENBLAS_NUM_THREADS="1") as (process, _):
            folder = Path(f"/proc/{process.pid}/task")
            with suppress(AssertionError):  # threads that have been told to end take their time
                wait_until(lambda folder=folder: len(list(folder.iterdir())) <= threads.get(1, 0), seconds=2)
            threads[count] = len(list(folder.iterdir()))
    assert threads[4] == threads[1], "loading left threads behind, beside which the model's would wait passively"


def test_a_client_that_leaves_takes_nobody_with_it(predictor: Predictor, gate: threading.Event) -> None:
    with serving(predictor) as client, ThreadPoolExecutor(2) as clients:
        body = json.dumps({"inputs": "gone"}).encode()
        with client.connect() as gone:
            gone.sendall(b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            wait_until(lambda: "emotion_batch_texts_count 1.0" in client.get("/metrics").content)
        other = clients.submit(client.post, {"inputs": TEXTS[0]})
        gate.set()
        assert other.result().status == 200


@pytest.mark.parametrize(
    ("most_waiting", "texts"),
    [(2, ["gone", "gone too"]), (2000, [f"gone {number} " * 1500 for number in range(20)])],
    ids=["forgotten to make room", "forgotten in its turn, after a long body"],
)
def test_texts_of_clients_that_have_gone_are_not_computed(
    most_waiting: int, texts: list[str], predictor: Predictor, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    predict = Predictor.predict_texts

    def spied(self: Predictor, texts: Sequence[str], *arguments: Any) -> Predictions:
        computed.extend(texts)
        return predict(self, texts, *arguments)

    monkeypatch.setattr(Predictor, "predict_texts", spied)
    with serving(predictor, f"max_waiting={most_waiting}") as client, ThreadPoolExecutor(2) as clients:
        first = clients.submit(client.post, {"inputs": "first"})
        wait_until(lambda: "emotion_batch_texts_count 1.0" in client.get("/metrics").content)
        body = json.dumps({"inputs": texts}).encode()
        with client.connect() as gone:
            gone.sendall(b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            wait_until(lambda: f"emotion_waiting_texts {len(texts)}.0" in client.get("/metrics").content)
        sleep(0.5)  # until the server has heard of it
        second = clients.submit(client.post, {"inputs": ["second", "waits in their place"]})
        if most_waiting == 2:
            wait_until(lambda: 'endpoint="predict",status="499"} 1.0' in client.get("/metrics").content)
        gate.set()
        assert [first.result().status, second.result().status] == [200, 200]
        assert 'endpoint="predict",status="499"} 1.0' in client.get("/metrics").content
    assert computed == ["first", "second", "waits in their place"]


@pytest.mark.parametrize("error", [NotFiniteError([0]), RuntimeError("of a library")])
def test_a_text_that_the_model_fails_on_fails_alone(
    error: Exception, predictor: Predictor, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Predictor.predict_texts

    def fail(self: Predictor, texts: Sequence[str], *arguments: Any) -> Predictions:
        if any("bad" in text for text in texts):
            raise error
        return predict(self, texts, *arguments)

    monkeypatch.setattr(Predictor, "predict_texts", fail)
    with serving(predictor) as client, ThreadPoolExecutor(8) as clients:
        first = clients.submit(client.post, {"inputs": "computed"})
        wait_until(lambda: "emotion_batch_texts_count 1.0" in client.get("/metrics").content)
        together = [clients.submit(client.post, {"inputs": text}) for text in ("good", "a bad one", "fine")]
        wait_until(lambda: "emotion_waiting_texts 3.0" in client.get("/metrics").content)
        gate.set()
        assert first.result().status == 200
        assert [reply.result().status for reply in together] == [200, 422, 200]
        assert together[1].result().content["error"].startswith("inputs[0]: must be a text that the model can answer")
        assert "emotion_batch_texts_count 2.0" in client.get("/metrics").content  # the three were one batch


def is_closed_while_it_drips(connection: socket.socket, drop: bytes) -> bool:
    """Send ``drop`` ten times a second, and tell whether the server closes the connection within ten seconds."""
    connection.settimeout(0.1)
    end = monotonic() + 10
    while monotonic() < end:
        try:
            connection.sendall(drop)
            if connection.recv(1000) == b"":
                return True
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return True
    return False


def test_slow_clients_are_not_waited_for(predictor: Predictor) -> None:
    with serving(predictor, "patience_seconds=0.5") as client:
        silent = [client.connect() for _ in range(200)]
        slow_head, slow_body = client.connect(), client.connect()
        slow_body.sendall(b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{")
        assert is_closed_while_it_drips(slow_head, b"P")
        assert b" 408 " in slow_body.recv(1000)
        assert client.post({"inputs": TEXTS[0]}).status == 200
        assert all(each.recv(10) == b"" for each in silent)
        for each in (*silent, slow_head, slow_body):
            each.close()


@pytest.mark.parametrize(
    ("later", "drop"),
    [
        (b"POST /predict HTTP/1.1\r\n", b"x"),
        (b"POST /predict HTTP/1.1\r\nContent-Length: 9999\r\n\r\n", b"x"),
        (b"\r\n", b"\r\n"),
    ],
    ids=["headers", "a body that is refused", "blank lines"],
)
def test_nor_is_a_later_request_of_a_connection_whatever_its_client_sends_a_byte_at_a_time(
    later: bytes, drop: bytes, predictor: Predictor
) -> None:
    with serving(predictor, "patience_seconds=0.5", token="a secret") as client, client.connect() as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        received = b""
        while b"}" not in received:
            received += slow.recv(1000)
        slow.sendall(later)
        assert is_closed_while_it_drips(slow, drop)


def test_a_request_that_has_begun_does_not_end_the_one_before_it(predictor: Predictor, gate: threading.Event) -> None:
    with serving(predictor, "patience_seconds=0.5") as client, client.connect() as both:
        body = json.dumps({"inputs": TEXTS[0]}).encode()
        both.sendall(b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        both.sendall(b"GET /hea")
        sleep(1.5)
        gate.set()
        assert b" 200 OK" in both.recv(1000)


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 66_000, 431, "must have at most 65,536 bytes of headers"),
        (b"no words of HTTP\r\n\r\n", 400, "must be of HTTP"),
    ],
)
def test_what_does_not_become_a_request_is_refused_in_the_same_form(
    head: bytes, status: int, reason: str, client: Client
) -> None:
    with client.connect() as connection:
        for start in range(0, len(head), 10_000):  # what a server has not read when it closes takes its answer with it
            connection.sendall(head[start : start + 10_000])
            sleep(0.05)
        received = b""
        while part := connection.recv(1000):
            received += part
    assert f" {status} ".encode() in received.splitlines()[0]
    assert json.loads(received.split(b"\r\n\r\n")[1]) == {"error": f"request: {reason}"}


def test_a_client_that_leaves_while_it_sends_is_counted_as_gone(client: Client) -> None:
    with client.connect() as leaves:
        leaves.sendall(b"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{")
        sleep(0.2)
    wait_until(lambda: 'endpoint="refused",status="499"} 1.0' in client.get("/metrics").content)


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of Linux")
def test_a_thousand_silent_connections_keep_nobody_out(originals: dict[str, Path]) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # the server inherits it
    try:
        with server_process(originals["minilm"]) as (_, client), ExitStack() as silent:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            for _ in range(1000):
                silent.enter_context(client.connect())
            assert client.post({"inputs": TEXTS[0]}).status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_is_kept_for_a_client_that_goes_on(client: Client) -> None:
    with client.connect() as kept:
        for _ in range(3):
            kept.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
            received = b""
            while b"}" not in received:
                received += kept.recv(1000)
            assert b"200 OK" in received
            sleep(0.05)


def test_no_text_is_logged_unless_asked_for(predictor: Predictor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        with serving(predictor) as client:
            client.post({"inputs": "my private words"})
            client.post({"inputs": ["my private words", 5]})
        assert "private" not in caplog.text
        with serving(predictor, "log_texts=true") as client:
            client.post({"inputs": "my private words"})
        assert "text: 'my private words'" in caplog.text


def test_no_request_is_told_to_another_machine(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorder(trace.TracerProvider):
        def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
            asked.append("a tracer")
            return trace.NoOpTracer()

    asked: list[str] = []
    monkeypatch.setattr(trace, "get_tracer_provider", Recorder)
    with serving(predictor) as client:
        assert client.post({"inputs": TEXTS[0]}).status == 200
    assert not asked


def test_the_interface_is_described(client: Client) -> None:
    described = client.get("/openapi.json").content
    for path in ("/predict", "/v2/models/{model}/infer"):
        schema = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert schema["examples"]
        for example in schema["examples"]:
            assert client.post(example, path.replace("{model}", "MiniLM")).status == 200
    for reference in re.findall(r'"\$ref": "([^"]*)"', json.dumps(described)):
        found = described
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for path in described["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                schema = response.get("content", {}).get("application/json", {}).get("schema", {})
                assert "HTTPValidationError" not in str(schema)
    docs = client.get("/docs")
    assert "text/html" in docs.headers["content-type"]
    addresses = re.findall(r"""(?:src|href)=["']([^"']*)""", docs.content)
    assert addresses
    for address in addresses:
        assert address == "data:," or client.get(address).status == 200


def test_tritonclient_reads_the_open_inference_protocol(client: Client, predictor: Predictor) -> None:
    triton = pytest.importorskip("tritonclient.http")
    with triton.InferenceServerClient(f"127.0.0.1:{client.port}") as public:
        assert public.is_server_live()
        assert public.is_server_ready()
        assert public.is_model_ready("MiniLM")
        assert not public.is_model_ready("other")
        metadata = public.get_model_metadata("MiniLM")
        assert metadata["outputs"][2] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 6]}
        names = [output["name"] for output in metadata["outputs"]]
        tensor = triton.InferInput("text", [len(TEXTS)], "BYTES")
        for binary in (True, False):
            tensor.set_data_from_numpy(np.array(TEXTS, dtype=object), binary_data=binary)
            found = public.infer("MiniLM", [tensor], request_id="7")
            np.testing.assert_allclose(found.as_numpy("probabilities"), predictor.predict_proba(TEXTS), atol=1e-5)
            assert found.as_numpy("index").tolist() == predictor.predict(TEXTS)
            assert found.get_response()["id"] == "7"
            assert [output["name"] for output in found.get_response()["outputs"]] == names
        labels = public.infer("MiniLM", [tensor], outputs=[triton.InferRequestedOutput("label")])
        assert labels.as_numpy("label").tolist() == [predictor.labels.names[i] for i in predictor.predict(TEXTS)]
        assert labels.as_numpy("index") is None


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"inputs": []}, 422, "inputs: "),
        ({"datatype": "FP32"}, 422, r"inputs: .*must be one tensor of BYTES, the texts, found 'FP32'"),
        ({"data": [5]}, 422, "inputs.data: must hold texts alone, found 5"),
        ({"data": [[["a"]]], "shape": [1, 1, 1]}, 200, ""),
        ({"shape": [-1, -1]}, 422, "inputs.0.shape.0: must be greater than or equal to 0, found -1"),
        ({"shape": [1] * 9}, 422, "inputs.0.shape: must have at most 8 items, found 9"),
        ({"shape": [3]}, 422, r"inputs.shape: must be that of the data, 1 texts, found \[3\]"),
        ({"outputs": [{"name": "other"}]}, 422, "outputs: must be of label, index, .* found 'other'"),
        ({"model": "other"}, 404, "model: must be MiniLM, found 'other'"),
    ],
)
def test_malformed_tensors_are_refused(change: dict[str, Any], status: int, reason: str, client: Client) -> None:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    request = {"inputs": [tensor | {key: value for key, value in change.items() if key in tensor}]}
    request |= {key: value for key, value in change.items() if key in ("inputs", "outputs")}
    reply = client.post(request, f"/v2/models/{change.get('model', 'MiniLM')}/infer")
    assert reply.status == status
    assert re.match(reason, reply.content.get("error", ""))


def test_texts_in_binary_form_must_be_whole(client: Client) -> None:
    head = json.dumps({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES"}]}).encode()
    path, header = "/v2/models/MiniLM/infer", "Inference-Header-Content-Length"
    for data, reason in ((b"\x09\0\0\0abc", "must be whole"), (b"\x01\0\0\0\xff", "must be in UTF-8")):
        reply = client.post(head + data, path, **{header: str(len(head))})
        assert (reply.status, reason in reply.content["error"]) == (422, True)
    assert client.post(head + b"\x01\0\0\0a", path, **{header: str(len(head))}).status == 200
    for length in ("many", "9" * 5000):
        assert client.post(head, path, **{header: length}).status == 422


def test_an_address_in_use_or_of_others_is_told_before_the_model_is_loaded(commands: Commands, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = commands.run("serve", tmp_path, f"weights={tmp_path / 'none.pt'}", f"port={port}")
        assert done.code == 1
        assert f"port: must be free to listen at, found 127.0.0.1:{port}" in done.err
    for host in ("no.such.host.invalid", "a..b", "192.0.2.1"):
        done = commands.run("serve", tmp_path, f"weights={tmp_path / 'none.pt'}", f"host={host}")
        assert f"host: must be an address of this machine, found {host}" in done.err
        assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "weights: must be a checkpoint file, found no file"), (b"no", "must be a whole .pt checkpoint")],
)
def test_a_model_that_cannot_be_loaded_is_told_in_one_line(
    content: bytes | None, reason: str, commands: Commands, tmp_path: Path
) -> None:
    weights = tmp_path / "model.pt"
    if content is not None:
        weights.write_bytes(content)
    done = commands.run("serve", tmp_path, f"weights={weights}", "port=0")
    assert done.code == 1
    assert reason in done.err
    assert len(done.err.splitlines()) == 1
