"""The hub as the commands see it: each runs in its own process with its own cache, against a hub on this machine.

``huggingface_hub`` reads its environment at import, so a changed one needs a new process.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from emotion.config import PROJECT
from emotion.models import model_choices
from support.backbones import make_backbone
from support.files import sample_rows, write_csv
from support.hub_server import Hub, serve

MODELS = model_choices()
DECOYS = ("tf_model.h5", "flax_model.msgpack", "README.md")
FIND = """
import urllib.request
from emotion.models import find_backbone
from emotion.labels import LabelSet
from emotion.models import load_pretrained, load_tokenizer
from emotion.models import model_choices
from emotion.models import ModelConfig
from emotion.errors import UserError

def find(config):
    try:
        found = find_backbone(config)
    except UserError as error:
        print("error:", error)
    else:
        print("found:", found.commit, found.source)
        return found
"""
SEARCH = """
from emotion.models import find_backbone
from emotion.command import run
from emotion.models import model_choices

run(lambda: find_backbone(model_choices()["bertweet"]))
"""
"""What a script does up to the search for a backbone, without the imports of training."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """All four backbones under their real names; Cardiff's weights only in the old format, as on the real hub."""
    root = tmp_path_factory.mktemp("hub")
    with serve() as hub:
        for kind, model in MODELS.items():
            folder = make_backbone(kind, root / kind)
            for name in DECOYS:
                (folder / name).write_bytes(b"never to be fetched")
            weights, old_format = folder / "model.safetensors", folder / "pytorch_model.bin"
            if kind == "cardiff":
                torch.save(load_file(weights), old_format)
                weights.unlink()
            else:
                old_format.write_bytes(b"never to be fetched")
            hub.add(model.backbone, folder, commit=None if model.revision == "main" else model.revision)
        yield hub


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    settings = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return {**kept, **settings, **more}


def execute(arguments: list[object], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def training(folder: Path, choice: str) -> list[object]:
    """The arguments of an ordinary, short training run."""
    return [
        PROJECT / "scripts" / "train.py",
        f"model={choice}",
        f"data.train={write_csv(folder / 'train.csv', sample_rows('train', 60))}",
        f"data.validation={write_csv(folder / 'validation.csv', sample_rows('validation', 24))}",
        "trainer=debug",
        f"output_dir={folder / 'out'}",
        f"hydra.run.dir={folder / 'run'}",
    ]


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The only line on stderr of a command that failed."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: model.backbone: vinai/bertweet-base was not found; tried the cache ")
    assert line.endswith("next: connect to the hub, or give a folder as model.backbone=DIR")
    return line


def test_a_sweep_fetches_its_backbones_and_keeps_their_commits(hub: Hub, tmp_path: Path) -> None:
    hub.requests.clear()
    kinds = ("bertweet", "cardiff", "modernbert")
    script, *arguments = training(tmp_path, ",".join(kinds))
    done = execute(
        [script, "-m", *arguments, f"hydra.sweep.dir={tmp_path / 'sweep'}"], environment(hub.url, tmp_path / "home")
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "HTTP Request" not in done.stdout
    assert {"bpe.codes", "model.safetensors", "pytorch_model.bin", "tokenizer.json"} < hub.fetched()
    assert not hub.fetched() & {"tf_model.h5", "flax_model.msgpack"}
    for kind in kinds:
        model = MODELS[kind]
        assert f"{model.backbone}: from the hub {hub.url}" in done.stdout
        checkpoint = torch.load(tmp_path / "out" / f"best_{model.name}.pt", weights_only=True)
        assert checkpoint["commit"] == hub.commits[model.backbone]
    checkpoint = torch.load(tmp_path / "out" / "best_BERTweet.pt", weights_only=True)
    assert checkpoint["commit"] == model_choices()["bertweet"].revision
    assert (
        bytes(checkpoint["tokenizer"]["bpe.codes"].numpy())
        == (hub.folders["vinai/bertweet-base"] / "bpe.codes").read_bytes()
    )


@dataclass
class Download:
    """Three backbones, fetched into a cache of their own."""

    home: Path
    done: subprocess.CompletedProcess[str]
    requests: list[str]
    fetched: set[str]


@pytest.fixture(scope="module")
def download(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Download:
    hub.requests.clear()
    home = tmp_path_factory.mktemp("home")
    script = (
        FIND
        + """
for kind in ("cardiff", "modernbert", "minilm"):
    config = model_choices()[kind].updated(package=None, sha256={})
    backbone = find(config)
    load_tokenizer(backbone.folder, config.normalization)
    print(next(load_pretrained(backbone, LabelSet(("calm", "angry"))).parameters()).dtype)
config = model_choices()["minilm"].updated(package=None)
find(config)
for repository, revision in (("nobody/nothing", "main"), ("cardiffnlp/twitter-roberta-base", "f" * 40)):
    find(config.updated(backbone=repository, revision=revision))
"""
    )
    done = execute(["-c", script], environment(hub.url, home))
    return Download(home, done, list(hub.requests), hub.fetched())


def test_every_backbone_comes_from_the_hub(hub: Hub, download: Download) -> None:
    """Also, each backbone that the hub does not have gives one line of error."""
    done = download.done
    assert (done.returncode, done.stderr) == (0, "")
    *found, other_digest, no_repository, no_revision = done.stdout.splitlines()
    assert other_digest.count("(refused: model.safetensors is not the pinned file)") == 2  # in the cache and on the hub
    names = [MODELS[kind].backbone for kind in ("cardiff", "modernbert", "minilm")]
    assert found == [
        line for name in names for line in (f"found: {hub.commits[name]} from the hub {hub.url}", "torch.float32")
    ]
    assert download.fetched == {
        *("config.json", "model.safetensors", "pytorch_model.bin"),
        *("merges.txt", "tokenizer.json", "tokenizer_config.json", "vocab.json"),
    }
    cardiff = {request for request in download.requests if request.startswith("GET /cardiffnlp/")}
    assert {request.rsplit("/", 1)[1] for request in cardiff} == {
        *("config.json", "merges.txt", "pytorch_model.bin", "vocab.json"),
    }
    assert no_repository.startswith("error: model.backbone: nobody/nothing was not found; tried the cache ")
    assert f"the hub {hub.url} (RepositoryNotFoundError for revision main); next: " in no_repository
    assert f"the hub {hub.url} (RevisionNotFoundError for revision {'f' * 40}); next: " in no_revision


def test_the_second_run_asks_no_hub(hub: Hub, download: Download, tmp_path: Path) -> None:
    """Cardiff's revision is a branch, which only the cache can translate to a commit."""
    with serve() as stranger:
        done = execute(training(tmp_path, "cardiff"), environment(stranger.url, download.home))
    assert done.returncode == 0, done.stderr
    assert stranger.requests == []
    assert "cardiffnlp/twitter-roberta-base: from the cache " in done.stdout
    checkpoint = torch.load(tmp_path / "out" / "best_CardiffRoBERTa.pt", weights_only=True)
    assert checkpoint["commit"] == hub.commits["cardiffnlp/twitter-roberta-base"]


def test_a_silent_hub_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        done = execute(["-c", SEARCH], environment(url, tmp_path / "home"))
        assert time.monotonic() - started < 30
    assert f"the hub {url} (timed out)" in error_line(done)


@pytest.mark.slow
def test_a_file_host_that_is_silent_is_given_up(hub: Hub, tmp_path: Path) -> None:
    """As behind a firewall that lets the hub through, but not where it keeps its files."""
    hub.files_answer.clear()
    try:
        started = time.monotonic()
        done = execute(["-c", SEARCH], environment(hub.url, tmp_path / "home"))
        assert time.monotonic() - started < 30
    finally:
        hub.files_answer.set()
    assert f"the hub {hub.url} (no answer within 12 s)" in error_line(done)


def test_a_hub_that_refuses_connections_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    started = time.monotonic()
    done = execute(training(tmp_path, "bertweet"), environment(url, tmp_path / "home"))
    assert time.monotonic() - started < 30
    assert f"the cache {tmp_path / 'home' / 'hub'} (not there)" in error_line(done)
    assert f"the hub {url} ([Errno " in error_line(done)


def test_a_hub_that_is_switched_off_is_not_asked(hub: Hub, tmp_path: Path) -> None:
    hub.requests.clear()
    done = execute(["-c", SEARCH], environment(hub.url, tmp_path / "home", HF_HUB_OFFLINE="1"))
    assert f"the hub {hub.url} (switched off by HF_HUB_OFFLINE)" in error_line(done)
    assert hub.requests == []


def test_a_download_that_breaks_off_is_finished_by_the_next(hub: Hub, tmp_path: Path) -> None:
    """The hub dies while it sends the weights, after the tokenizer was cached; then it comes back."""
    hub.requests.clear()
    hub.dies_at = "model.safetensors"
    script = (
        FIND
        + f"""
config = model_choices()["bertweet"]
find(config)
urllib.request.urlopen("{hub.url}/revive").close()
print(next(load_pretrained(find(config), LabelSet(("calm", "angry"))).parameters()).dtype)
"""
    )
    done = execute(["-c", script], environment(hub.url, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    first, second, dtype = done.stdout.splitlines()
    assert first.startswith("error: model.backbone: vinai/bertweet-base was not found; tried the cache ")
    assert second == f"found: {MODELS['bertweet'].revision} from the hub {hub.url}"
    assert dtype == "torch.float32"
    assert sum(request.startswith("GET") and request.endswith("/vocab.txt") for request in hub.requests) == 1


def test_an_earlier_tools_checkpoint_fetches_only_its_tokenizer(hub: Hub, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    repository = "vinai/bertweet-base"
    model = AutoModelForSequenceClassification.from_pretrained(hub.folders[repository], num_labels=6)
    content = {
        "model_state_dict": model.state_dict(),
        "model_id": repository,
        "model_name": "BERTweet",
        "config": {"max_length": 64, "num_labels": 6},
    }
    torch.save(content, tmp_path / "old.pt")
    csv = write_csv(tmp_path / "texts.csv", sample_rows("validation", 12))
    hub.requests.clear()
    command = [PROJECT / "scripts" / "predict.py", f"weights={tmp_path / 'old.pt'}", f"csv={csv}", "accelerator=cpu"]
    done = execute(command, environment(hub.url, tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert hub.fetched() == {"bpe.codes", "config.json", "vocab.txt"}
    assert f"{repository}: from the hub {hub.url}" in done.stdout
    assert "without a tokenizer: using vinai/bertweet-base's" in done.stdout
    assert len((tmp_path / "texts_predictions.csv").read_text(encoding="utf-8").splitlines()) == 13
