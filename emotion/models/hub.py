"""Ask the hub for files, check what arrives, and give up soon if the hub does not answer as it should.

huggingface_hub waits for as long as a hub tells it to, starts a file that breaks off again without end, and takes any
content of the announced size.
"""

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any, TypeVar

from huggingface_hub import HfApi, get_session, hf_hub_download

from emotion.files import sha256

Answer = TypeVar("Answer")

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 12
SLOWEST_BYTES_S = 1000
"""A file that arrives more slowly than this is given up."""
LONGEST_WAIT_S = 3
"""What a hub may ask to wait for."""
MOST_REFUSALS = 2
MOST_STARTS = 6
"""How often one file may be asked for because the connection broke."""


def list_files(repository: str, revision: str) -> set[str]:
    """Return the names of a repository's files.

    Raises:
        Exception: The network and its libraries raise many kinds.
    """
    info = _patiently(lambda: HfApi().model_info(repository, revision=revision, timeout=CONNECT_TIMEOUT_S))
    return {sibling.rfilename for sibling in info.siblings or []}


def fetch(repository: str, name: str, revision: str) -> Path:
    """Fetch a file into the cache unless it is there; return its path.

    Raises:
        Exception: The network and its libraries raise many kinds; nothing of the file is left in the cache then.
    """

    def download() -> Path:
        return Path(hf_hub_download(repository, name, revision=revision, etag_timeout=CONNECT_TIMEOUT_S))

    path = _patiently(download)
    blob = path.resolve()
    if path.is_symlink() and not _has_digest(blob, blob.name):  # the cache names a file's content by its ETag
        path.unlink()
        blob.unlink()
        raise ConnectionError(f"{name} did not arrive as it was announced")
    return path


def _has_digest(path: Path, tag: str) -> bool:
    """Return whether a file has the digest that an ETag of the hub states: SHA-256, or git's for small files."""
    if len(tag) == 64:
        return sha256(path) == tag
    if len(tag) == 40:
        content = path.read_bytes()
        of_git = b"blob %d\0" % len(content) + content
        return tag in (hashlib.sha1(of_git).hexdigest(), hashlib.sha1(content).hexdigest())  # mirrors know no git
    return True


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Return or raise what ``ask`` does; raise TimeoutError once too little arrives.

    A library's own time-out is not enough: it applies to each of a host's addresses, and to each piece of a file.
    """
    answers: Queue[Future[Answer]] = Queue()
    patience = _Patience()

    def run() -> None:
        future: Future[Answer] = Future()
        try:
            with patience:
                future.set_result(ask())
        except BaseException as error:
            future.set_exception(error)
        answers.put(future)

    # A thread that hangs must not keep the program running.
    threading.Thread(target=run, name="ask the hub", daemon=True).start()
    before = 0
    while True:
        try:
            return answers.get(timeout=ANSWER_TIMEOUT_S).result()
        except Empty:
            received = patience.received()
            if not patience.unseen and received - before < SLOWEST_BYTES_S * ANSWER_TIMEOUT_S:
                raise TimeoutError(f"no answer within {ANSWER_TIMEOUT_S} s") from None
            before = received


class _Patience:
    """Sees each response that this thread gets from the hub, and ends what huggingface_hub would repeat."""

    def __init__(self) -> None:
        self.unseen = False
        """Whether hf_xet may be at work, which has a client and time-outs of its own."""
        self._refusals = 0
        self._starts: Counter[str] = Counter()
        self._responses: list[Any] = []

    def received(self) -> int:
        """Return the number of bytes that have arrived."""
        return sum(response.num_bytes_downloaded for response in self._responses)

    def __enter__(self) -> None:
        self._thread = threading.get_ident()
        self._hooks = get_session().event_hooks["response"]
        self._hooks.append(self._see)

    def __exit__(self, *_: object) -> None:
        self._hooks.remove(self._see)

    def _see(self, response: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        self._responses.append(response)
        self.unseen |= "X-Xet-Hash" in response.headers
        if response.status_code in (408, 429) or response.status_code >= 500:
            self._refusals += 1
            wait = response.headers.get("Retry-After", "0")
            too_long = "RateLimit" in response.headers or not wait.isdigit() or int(wait) > LONGEST_WAIT_S
            if too_long or self._refusals > MOST_REFUSALS:
                raise ConnectionError(f"HTTP {response.status_code} {response.reason_phrase}".strip())
        elif response.request.method == "GET":
            self._starts[str(response.request.url)] += 1
            if max(self._starts.values()) > MOST_STARTS:
                raise ConnectionError(f"the connection broke {MOST_STARTS} times")


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Silence the log lines of each request and retry; the caller reports a failure once."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "httpx", "httpx2")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
