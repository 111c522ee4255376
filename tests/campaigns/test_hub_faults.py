"""A hub that fails in any way costs half a minute at most and one line; nothing of it is used later."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import torch
from huggingface_hub import constants
from transformers import PreTrainedModel

from emotion.errors import UserError
from emotion.models import Backbone, ModelConfig, find_backbone, load_pretrained
from support.campaigns import Campaign
from support.hub_server import Hub, Reply, serve
from support.labels import EMOTION6

REPOSITORY = "owner/tiny"
CONFIG = ModelConfig(
    name="Tiny",
    backbone=REPOSITORY,
    revision="main",
    normalization="none",
    learning_rate=1e-3,
    sha256={},
    package=None,
)
PAGE = b"<!DOCTYPE html><title>Log in</title>"
Fault = Callable[[Reply, Random], None]


def with_status(status: int, **headers: str) -> Fault:
    def fault(reply: Reply, _: Random) -> None:
        reply.status, reply.body = status, b""
        reply.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    return fault


def with_header(name: str, value: str | None) -> Fault:
    def fault(reply: Reply, _: Random) -> None:
        reply.headers.pop(name, None)
        if value is not None:
            reply.headers[name] = value

    return fault


def breaks_off(reply: Reply, random: Random) -> None:
    reply.sent = random.randrange(len(reply.body) or 1)


def starts_again(reply: Reply, random: Random) -> None:
    """Break off, and send all from the start when the rest is asked for."""
    if reply.status == 206:
        reply.status, reply.body = 200, b"x" * int(reply.headers.pop("Content-Range").rpartition("/")[2])
    breaks_off(reply, random)


def changes_a_byte(reply: Reply, random: Random) -> None:
    if reply.method == "GET" and reply.body:
        place = random.randrange(len(reply.body))
        reply.body = reply.body[:place] + bytes([reply.body[place] ^ 1]) + reply.body[place + 1 :]


def changes_the_size(reply: Reply, random: Random) -> None:
    if reply.method == "GET":
        reply.body = random.choice([b"", reply.body[:-1], reply.body + b"\0", random.randbytes(50)])


def shows_a_page(reply: Reply, _: Random) -> None:
    reply.body, reply.headers = PAGE, {"Content-Type": "text/html"}


def sends_a_page_as_the_file(reply: Reply, _: Random) -> None:
    if reply.method == "GET":
        reply.body = PAGE


def sends_nothing_at_all(reply: Reply, _: Random) -> None:
    reply.body, reply.headers = b"", {}


def closes(reply: Reply, _: Random) -> None:
    reply.closes = True


def is_silent(reply: Reply, _: Random) -> None:
    reply.silence_s = 60


def drips(reply: Reply, _: Random) -> None:
    reply.silence_s, reply.drips = 0.2, True


def is_slow(reply: Reply, _: Random) -> None:
    reply.silence_s = 1


def leads_round(reply: Reply, _: Random) -> None:
    reply.status, reply.headers = 302, {"Location": reply.path}


def leads_nowhere(reply: Reply, _: Random) -> None:
    reply.status, reply.headers = 302, {**reply.headers, "Location": "http://127.0.0.1:9/elsewhere"}


FAULTS: dict[str, Fault] = {
    "a byte changed": changes_a_byte,
    "429, later": with_status(429, Retry_After="3600"),
    "a page": shows_a_page,
    "401": with_status(401),
    "wrong size": changes_the_size,
    "403": with_status(403, X_Error_Code="GatedRepo"),
    "404": with_status(404),
    "404, no entry": with_status(404, X_Error_Code="EntryNotFound"),
    "429": with_status(429),
    "429, soon": with_status(429, Retry_After="1"),
    "429, a date": with_status(429, Retry_After="Thu, 01 Jan 2099 00:00:00 GMT"),
    "500": with_status(500),
    "503": with_status(503),
    "503, later": with_status(503, Retry_After="3600"),
    "a page as the file": sends_a_page_as_the_file,
    "nothing": sends_nothing_at_all,
    "closed": closes,
    "breaks off": breaks_off,
    "starts again": starts_again,
    "wrong ETag": with_header("ETag", '"' + "0" * 64 + '"'),
    "no ETag": with_header("ETag", None),
    "no commit": with_header("X-Repo-Commit", None),
    "leads round": leads_round,
    "leads nowhere": leads_nowhere,
    "slow": is_slow,
    "silent": is_silent,
    "drips": drips,
}


@pytest.fixture
def hub(backbones: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve() as hub:
        hub.add(REPOSITORY, backbones["minilm"])
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        files = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub


def test_hub_faults(
    campaign: Campaign, hub: Hub, backbones: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = loaded(Backbone(backbones["minilm"], "", None))
    files = ["/tokenizer.json", "/tokenizer_config.json", "/model.safetensors", "/config.json"]

    def case(random: Random, number: int) -> str:
        name, fault = list(FAULTS.items())[number % len(FAULTS)]
        place = random.choice(files if number < 4 else [*files, "/api/models", "/"])
        always = number < 4 or random.random() < 0.7
        reached = []

        def change(reply: Reply) -> None:
            if (reply.path.startswith(place) or reply.path.endswith(place)) and (always or not reached):
                reached.append(reply.path)
                fault(reply, random)

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / str(number)))
        hub.change = change
        hub.patience.clear()
        started = time.monotonic()
        try:
            first = found_or_refused()
        finally:
            hub.change = None
            hub.patience.set()
        seconds = time.monotonic() - started
        assert seconds < 30, f"{name} at {place!r} took {seconds:.0f} s"
        assert reached, f"{name} at {place!r} was not reached: {first}"
        for thread in threading.enumerate():
            if thread.name == "ask the hub":  # was left behind, and ends now that the hub answers
                thread.join(20)
        if isinstance(first, Backbone):
            assert same(loaded(first), right), f"{name} at {place!r}: other weights were taken"
        with monkeypatch.context() as offline:
            offline.setattr(constants, "HF_HUB_OFFLINE", True)
            without = found_or_refused()
        assert isinstance(without, str) or same(loaded(without), right), f"{name} at {place!r}: others offline"
        again = found_or_refused()
        assert isinstance(again, Backbone), f"{name} at {place!r}: then {again}"
        assert same(loaded(again), right), f"{name} at {place!r}: other weights afterwards"
        for path in again.folder.iterdir():
            assert path.read_bytes() == (backbones["minilm"] / path.name).read_bytes(), f"{name} at {place!r}: {path}"
        return "refused at first" if isinstance(first, str) else "loaded"

    campaign.run(case, few=4, every=4 * len(FAULTS))


def found_or_refused() -> Backbone | str:
    """Search the backbone; return the error, which must be one line that says what to do, if it is refused."""
    try:
        return find_backbone(CONFIG)
    except UserError as error:
        message = str(error)
        assert "\n" not in message
        assert message.startswith(f"model.backbone: {REPOSITORY} was not found; tried the cache "), message
        assert message.endswith("next: connect to the hub, or give a folder as model.backbone=DIR"), message
        return message


def loaded(backbone: Backbone) -> PreTrainedModel:
    torch.manual_seed(0)  # for the head
    return load_pretrained(backbone, EMOTION6)


def same(model: PreTrainedModel, other: PreTrainedModel) -> bool:
    pairs = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
    return all(key == key2 and torch.equal(value, value2) for (key, value), (key2, value2) in pairs)
