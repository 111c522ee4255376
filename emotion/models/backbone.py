"""Find a backbone's files: in a folder, the hub's cache, an installed package, or on the hub."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from emotion.errors import UserError, first_line
from emotion.files import sha256
from emotion.models.config import ModelConfig
from emotion.models.hub import fetch, list_files, quiet_hub

log = logging.getLogger(__name__)

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
"""Weight files, in order of preference."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """The place of a backbone's files, and exactly which files they are."""

    folder: Path
    source: str
    """How it was found, for people."""
    commit: str | None
    """Commit on the hub that the files equal; None for a local folder."""

    def tokenizer_files(self) -> dict[str, bytes]:
        """Read the tokenizer's original files, by name."""
        found = {name: self.folder / name for name in TOKENIZER_FILES}
        return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


def find_backbone(config: ModelConfig, need_weights: bool = True) -> Backbone:
    """Find a backbone in the first of: a folder, the hub's cache, the installed package (digests checked), the hub.

    Args:
        config: Which backbone; ``backbone`` may be a folder, and then nothing else is tried.
        need_weights: False if config and tokenizer are enough.

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
    """Name what a backbone's folder lacks, for people; empty if it is complete."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return "tokenizer files"
    if need_weights:
        weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
        if weights is None:
            return f"{_WEIGHTS[0]} or {_WEIGHTS[2]}"
        if weights.suffix == ".json":
            return next((name for name in _shards(weights) if not (folder / name).is_file()), "")
    return ""


def _shards(index: Path) -> list[str]:
    """List the files that an index of weights names."""
    return sorted(set(json.loads(index.read_bytes())["weight_map"].values()))


def _from_cache(config: ModelConfig, need_weights: bool) -> Backbone | str:
    small = ["config.json", *TOKENIZER_FILES]  # all of them must be there if the cache knows the repository's list
    try:
        folder = Path(
            snapshot_download(config.backbone, revision=config.revision, local_files_only=True, allow_patterns=small)
        )
    except LocalEntryNotFoundError:
        return f"the cache {constants.HF_HUB_CACHE} (not there)"
    except ValueError as error:  # not a name that the hub allows
        raise UserError(
            f"model.backbone: must be an existing folder or a hub id like owner/name, found {config.backbone}"
        ) from error
    if missing := _missing_files(folder, need_weights):
        return f"the cache {folder} (incomplete: no {missing})"
    if changed := next(_changed_files(folder, config.sha256), None):
        return f"the cache {folder} (refused: {changed} is not the pinned file)"
    return Backbone(folder, f"from the cache {folder}", folder.name)


def _from_package(config: ModelConfig, _need_weights: bool) -> Backbone | str:
    package = config.package
    if package is None or package.backbone != config.backbone:
        return "an installed package (none carries it)"
    spec = find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        return f"the package {package.module} (not installed)"
    folder = Path(next(iter(spec.submodule_search_locations))) / package.folder
    pinned = config.sha256 | package.sha256
    # transformers picks files by name: one that is not pinned must not slip in.
    unpinned = [name for name in (*TOKENIZER_FILES, *_WEIGHTS) if name not in pinned and (folder / name).exists()]
    absent = [name for name in pinned if not (folder / name).is_file()]
    if changed := next(chain(unpinned, absent, _changed_files(folder, pinned)), None):
        return f"the package {package.module} (refused: {changed} is not the pinned file)"
    return Backbone(folder, f"from the installed package {package.module}, digests checked", config.revision)


def _changed_files(folder: Path, digests: dict[str, str]) -> Iterator[str]:
    """Yield the files in ``folder`` whose digest is not the pinned one."""
    for name, digest in digests.items():
        if (folder / name).is_file() and sha256(folder / name) != digest:
            yield name


def _from_hub(config: ModelConfig, need_weights: bool) -> Backbone | str:
    hub = f"the hub {constants.ENDPOINT}"
    if constants.HF_HUB_OFFLINE:
        return f"{hub} (switched off by HF_HUB_OFFLINE)"
    try:
        with quiet_hub():
            folder = _download(config, need_weights)
    except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
        return f"{hub} ({type(error).__name__} for revision {config.revision})"
    except Exception as error:  # the network and its libraries raise many kinds
        # huggingface_hub wraps what went wrong in advice of several lines
        return f"{hub} ({first_line(error.__cause__ or error)})"
    if missing := _missing_files(folder, need_weights):
        return f"{hub} (no {missing} there)"
    if changed := next(_changed_files(folder, config.sha256), None):
        return f"{hub} (refused: {changed} is not the pinned file)"
    return Backbone(folder, f"from {hub}", folder.name)


def _download(config: ModelConfig, need_weights: bool) -> Path:
    """Fetch only the files that are needed into the cache, and return their folder there.

    The config comes last, so that an interrupted download does not look complete.
    """
    log.info("downloading %s from the hub %s", config.backbone, constants.ENDPOINT)
    there = list_files(config.backbone, config.revision)
    names = [name for name in reversed(TOKENIZER_FILES) if name in there]  # a small one first, which may fail soon
    weights = next((name for name in _WEIGHTS if need_weights and name in there), None)
    names += [weights] if weights is not None else []
    for name in names:
        path = fetch(config.backbone, name, config.revision)
        for shard in _shards(path) if name == weights and path.suffix == ".json" else ():
            fetch(config.backbone, shard, config.revision)
    return fetch(config.backbone, "config.json", config.revision).parent
