"""A small Hugging Face hub on 127.0.0.1: folders served as ``huggingface_hub`` asks for them."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread


@dataclass
class Reply:
    """What the hub answers to a request; a test may change it."""

    method: str
    path: str
    asked: Message
    """Headers of the request."""
    status: int
    body: bytes
    headers: dict[str, str]
    sent: int | None = None
    """Bytes of the body after which the connection breaks; None = it does not."""
    silence_s: float = 0
    """Time before the answer, and before each of its bytes if ``drips``."""
    drips: bool = False
    closes: bool = False
    """Whether the connection is closed without an answer."""


@dataclass
class Hub:
    """What is served, what was asked for, and how it fails."""

    url: str = ""
    folders: dict[str, Path] = field(default_factory=dict)
    """Repository -> folder of its files."""
    commits: dict[str, str] = field(default_factory=dict)
    """Repository -> its only commit, 40 hex digits, which the branch ``main`` names too."""
    requests: list[str] = field(default_factory=list)
    """Method and path of each request, in order."""
    dies_at: str | None = None
    """The connection breaks in the middle of this file; then nothing is answered until ``/revive`` is requested."""
    dead: bool = False
    files_answer: Event = field(default_factory=Event)
    """While it is not set, requests for files get no answer, though the hub itself answers."""

    change: Callable[[Reply], None] | None = None
    """Changes each reply before it is sent."""
    patience: Event = field(default_factory=Event)
    """Once it is set, nothing waits any more."""

    def add(self, repository: str, folder: Path, commit: str | None = None) -> str:
        """Serve a folder; return its commit."""
        self.folders[repository] = folder
        self.commits[repository] = commit or hashlib.sha1(repository.encode()).hexdigest()
        return self.commits[repository]

    def fetched(self) -> set[str]:
        """Names of the files whose content was asked for."""
        gets = (path for method, path in map(str.split, self.requests) if method == "GET")
        return {path.rsplit("/", 1)[1] for path in gets if "/resolve/" in path}


@contextmanager
def serve() -> Iterator[Hub]:
    """A running hub, empty at first."""
    hub = Hub()
    hub.files_answer.set()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # some tests make clients give up, which is no error
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        path = self.path.split("?")[0].strip("/")
        self.hub.requests.append(f"{self.command} /{path}")
        if path == "revive":
            self.hub.dies_at, self.hub.dead = None, False
            self._send(200, b"", {})
        elif self.hub.dead:
            self.close_connection = True
        elif path.startswith("api/models/"):
            repository, _, revision = path.removeprefix("api/models/").partition("/revision/")
            if self._exists(repository, revision or "main"):
                self._info(repository)
        else:
            self.hub.files_answer.wait(60)
            repository, _, rest = path.partition("/resolve/")
            revision, _, name = rest.partition("/")
            if self._exists(repository, revision):
                self._file(repository, name)

    def _exists(self, repository: str, revision: str) -> bool:
        if repository not in self.hub.folders:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif revision not in ("main", self.hub.commits[repository]):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        else:
            return True
        return False

    def _info(self, repository: str) -> None:
        names = sorted(path.name for path in self.hub.folders[repository].iterdir())
        content = {
            "_id": "0" * 24,
            "id": repository,
            "modelId": repository,
            "sha": self.hub.commits[repository],
            "private": False,
            "tags": [],
            "downloads": 0,
            "siblings": [{"rfilename": name} for name in names],
        }
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _file(self, repository: str, name: str) -> None:
        path = self.hub.folders[repository] / name
        headers = {"X-Repo-Commit": self.hub.commits[repository]}
        if not path.is_file():
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            return
        data = path.read_bytes()
        headers |= {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        dies = self.command == "GET" and name == self.hub.dies_at
        self._send(206 if start else 200, data[start:], headers, dies)

    def _send(self, status: int, body: bytes, headers: dict[str, str], dies: bool = False) -> None:
        sent = len(body) // 2 if dies else None
        reply = Reply(self.command, self.path.split("?")[0], self.headers, status, body, dict(headers), sent)
        self.hub.dead |= dies
        if self.hub.change is not None:
            self.hub.change(reply)
        if reply.silence_s and not reply.drips:
            self.hub.patience.wait(reply.silence_s)
        self.close_connection |= reply.closes or reply.sent is not None
        if reply.closes:
            return
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            body = reply.body if reply.sent is None else reply.body[: reply.sent]
            while reply.drips and body and not self.hub.patience.wait(reply.silence_s):
                self.wfile.write(body[:1])
                body = body[1:]
            self.wfile.write(body)
