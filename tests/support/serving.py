"""A server in a thread, and a client that sees bytes."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from time import monotonic, sleep
from typing import Any

from emotion.config import compose_config, resolve
from emotion.models import Predictor
from emotion.serving import ServeConfig, listen, new_server


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    content: Any
    headers: dict[str, str]


class Client:
    """Sends requests to a server on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, None, headers)

    def post(self, content: Any, path: str = "/predict", **headers: str) -> Reply:
        """Send bytes as they are, and anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.send("POST", path, body, headers)

    def send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response: HTTPResponse = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        is_json = data and response.headers["content-type"].startswith("application/json")
        return Reply(response.status, json.loads(data) if is_json else data.decode(), dict(response.headers))

    def connect(self) -> socket.socket:
        """Open a connection that sends nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextmanager
def serving(predictor: Predictor, *overrides: str, token: str | None = None) -> Iterator[Client]:
    """Serve ``predictor`` within the block."""
    config = resolve(compose_config("serve", ["weights=none", "port=0", *overrides]), ServeConfig)
    listener = listen(config.host, config.port)
    server = new_server(predictor, config, token)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield Client(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


def wait_until(happened: Any, seconds: float = 20) -> None:
    """Wait for something to come true."""
    end = monotonic() + seconds
    while not happened():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.01)
