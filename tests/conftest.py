"""What many tests need: tiny backbones, checkpoints and corpora."""

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read at import: no test touches the network
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read at import; workers that share cores must not wait for threads

import pytest
import torch

from emotion.checkpoint import save
from emotion.config import SAMPLE
from emotion.models import ModelConfig, Predictor, find_backbone, load_pretrained, load_tokenizer, model_choices
from emotion.models.fast import speed_up_
from support.backbones import make_backbone
from support.labels import EMOTION6

_HYDRA_RECORD = re.compile(r"outputs/\d{4}-\d\d-\d\d/[\d-]+/((train|compress)\.log|\.hydra/\w+\.yaml)")
KINDS = ("bertweet", "cardiff", "modernbert", "minilm")
NAMES = {choice: config.name for choice, config in model_choices().items()}


def sample_rows(split: str = "train", limit: int | None = None) -> list[tuple[str, int]]:
    """(text, label) rows of the sample corpus."""
    with (SAMPLE / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], int(row["label"])) for row in csv.DictReader(file)]
    return rows[:limit]


TEXTS = [text for text, _ in sample_rows("test", 40)] + ["", "@you http://example.com/x 🙂 don\u2019t"]


def write_csv(path: Path, rows: list[tuple[str, object]], header: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


def untrained(kind: str, folder: Path) -> Predictor:
    """A checkpoint of a tiny backbone as if it were trained: no weight is 0 or 1, and texts get different labels.

    Hardly any of its weights is a half-precision number.
    """
    config = model_config(kind, folder)
    backbone = find_backbone(config)
    torch.manual_seed(3)
    model = load_pretrained(backbone, EMOTION6)
    speed_up_(model)  # as training does, so that a loaded one rounds alike
    checkpoint = Predictor(
        model=model,
        tokenizer=load_tokenizer(backbone.folder, config.normalization),
        tokenizer_files=backbone.tokenizer_files(),
        model_id="owner/" + kind,
        model_name=NAMES[kind],
        labels=EMOTION6,
        max_length=48,
        normalization=config.normalization,
        metadata={"accuracy": 0.5},
    )
    (head,) = (module for module in model.modules() if getattr(module, "out_features", None) == 6)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # biases and norms
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "embedding" not in name:
                parameter.mul_(8)  # so that what a layer does to a text matters
        spread = 2 / _logits(checkpoint).std(0)
        head.weight.mul_(spread[:, None])
        head.bias.mul_(spread)
        head.bias -= _logits(checkpoint).mean(0)
    return checkpoint


def _logits(checkpoint: Predictor) -> torch.Tensor:
    """(texts, 6), but for a constant a text."""
    return checkpoint.predict_proba(TEXTS).clamp(min=1e-30).log()


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


@pytest.fixture
def corpus(tmp_path: Path) -> dict[str, Path]:
    """A labelled training and validation CSV of 60 and 24 rows."""
    return {
        "train": write_csv(tmp_path / "train.csv", sample_rows("train", 60)),
        "validation": write_csv(tmp_path / "validation.csv", sample_rows("validation", 24)),
    }


def model_config(kind: str, backbone: Path) -> ModelConfig:
    """The config of ``conf/model`` on a tiny backbone."""
    return model_choices()[kind].updated(backbone=str(backbone))


def files_in(folder: Path) -> dict[str, bytes]:
    """The content of every file but locks and Hydra's own record of a run, by its path in the folder."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    kept = {name: path for name, path in files.items() if path.name != ".emotion.lock"}
    return {name: path.read_bytes() for name, path in kept.items() if not _HYDRA_RECORD.fullmatch(name)}


def out_of_memory(*_: object) -> None:
    """What torch does when a batch is too large."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.path.stem != "test_readme")
