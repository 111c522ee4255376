"""What many tests need: tiny backbones, checkpoints and corpora."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read at import: no test touches the network
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read at import; workers that share cores must not wait for threads

import pytest
import torch

from emotion.checkpoint import save
from support.backbones import make_backbone
from support.command_server import Commands, command_server
from support.files import sample_rows, write_csv
from support.predictors import KINDS, NAMES, untrained


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a tiny backbone for each file of ``conf/model``."""
    root = tmp_path_factory.mktemp("backbones")
    return {kind: make_backbone(kind, root / kind) for kind in KINDS}


@pytest.fixture(scope="session")
def originals(backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The file of an :func:`untrained` checkpoint for each file of ``conf/model``; not to be changed."""
    root = tmp_path_factory.mktemp("originals")
    paths = {kind: root / f"best_{NAMES[kind]}.pt" for kind in KINDS}
    for kind, path in paths.items():
        save(untrained(kind, backbones[kind]), path)
    return paths


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tiny models compute faster without waiting for other threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Runs the commands without the seconds that their imports take."""
    with command_server() as found:
        yield found


@pytest.fixture
def corpus(tmp_path: Path) -> dict[str, Path]:
    """A labelled training and validation CSV of 60 and 24 rows."""
    return {
        "train": write_csv(tmp_path / "train.csv", sample_rows("train", 60)),
        "validation": write_csv(tmp_path / "validation.csv", sample_rows("validation", 24)),
    }


@pytest.fixture
def default_handlers() -> Iterator[None]:
    """Start from a terminal's handlers, even if the tests run under ``nohup``."""
    defaults = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.path.stem != "test_readme")
