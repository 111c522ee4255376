"""Where a backbone is looked for, what is refused, and what is loaded."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel

from emotion.errors import UserError
from emotion.files import sha256
from emotion.models import ModelConfig, find_backbone, load_pretrained, load_tokenizer, model_choices, position_limit
from emotion.models.config import PackageConfig
from support.backbones import make_backbone
from support.labels import EMOTION6
from support.predictors import KINDS, model_config

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbones: dict[str, Path]) -> Path:
    """The folder of an installed package that has a backbone in ``model/`` and whose code must not run."""
    folder = tmp_path / "site" / "carries_a_backbone"
    shutil.copytree(backbones["minilm"], folder / "model")
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(folder.parent)
    return folder


def packaged(folder: Path) -> ModelConfig:
    """A config that pins every file that the package has now."""
    digests = {path.name: sha256(path) for path in (folder / "model").iterdir()}
    return ModelConfig(
        name="Tiny",
        backbone="owner/tiny",
        revision=COMMIT,
        normalization="none",
        learning_rate=1e-3,
        sha256={},
        package=PackageConfig(module=folder.name, folder="model", backbone="owner/tiny", sha256=digests),
    )


def put_in_cache(cache: Path, backbone: Path) -> Path:
    """Put a backbone into the cache as the hub's client does."""
    return shutil.copytree(backbone, cache / "models--owner--tiny" / "snapshots" / COMMIT)


def test_a_folder_comes_first(cache: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a folder with the same name as a backbone in the cache and in a package."""
    put_in_cache(cache, package / "model")
    monkeypatch.chdir(tmp_path)
    make_backbone("minilm", tmp_path / "owner" / "tiny", seed=1)
    found = find_backbone(packaged(package))
    assert (found.folder, found.commit) == (tmp_path / "owner" / "tiny", None)


def test_the_cache_comes_before_the_package(cache: Path, package: Path) -> None:
    snapshot = put_in_cache(cache, package / "model")
    found = find_backbone(packaged(package))
    assert (found.folder, found.commit) == (snapshot, COMMIT)
    assert found.source == f"from the cache {snapshot}"


@pytest.mark.parametrize("left_out", ["config.json", "model.safetensors"])
def test_an_incomplete_cache_is_passed_over(cache: Path, package: Path, left_out: str) -> None:
    (put_in_cache(cache, package / "model") / left_out).unlink()
    assert find_backbone(packaged(package)).folder == package / "model"


def test_weights_are_not_needed_for_a_tokenizer(cache: Path, package: Path) -> None:
    snapshot = put_in_cache(cache, package / "model")
    (snapshot / "model.safetensors").unlink()
    assert find_backbone(packaged(package), need_weights=False).folder == snapshot


@pytest.mark.usefixtures("cache")
def test_a_package_is_used_without_running_its_code(package: Path) -> None:
    found = find_backbone(packaged(package))
    assert (found.folder, found.commit) == (package / "model", COMMIT)
    assert "digests checked" in found.source
    assert found.tokenizer_files() == {
        name: (package / "model" / name).read_bytes() for name in ("tokenizer.json", "tokenizer_config.json")
    }


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", lambda path: path.write_bytes(path.read_bytes() + b" ")),
        ("model.safetensors", lambda path: path.unlink()),
        ("vocab.txt", lambda path: path.write_text("[PAD]\n")),
        ("pytorch_model.bin", lambda path: path.write_bytes(b"")),
    ],
    ids=["changed", "missing", "unpinned tokenizer", "unpinned weights"],
)
def test_a_package_that_is_not_the_pinned_one_is_refused(
    package: Path, name: str, change: Callable[[Path], object]
) -> None:
    config = packaged(package)
    change(package / "model" / name)
    with pytest.raises(UserError, match=rf"the package {package.name} \(refused: {name} is not the pinned file\)"):
        find_backbone(config)


def test_if_nothing_is_found_the_error_names_all_that_was_tried_in_order(cache: Path) -> None:
    config = model_choices()["minilm"]
    assert config.package is not None
    config = config.updated(package=config.package.updated(module="not_installed_anywhere"))
    with pytest.raises(UserError) as caught:
        find_backbone(config)
    assert str(caught.value) == (
        f"model.backbone: {config.backbone} was not found; tried the cache {cache} (not there);"
        f" the package not_installed_anywhere (not installed);"
        f" the hub {constants.ENDPOINT} (switched off by HF_HUB_OFFLINE);"
        ' next: pip install -e ".[offline]", connect to the hub, or give a folder as model.backbone=DIR'
    )


@pytest.mark.usefixtures("cache")
def test_the_pinned_package_is_genuine() -> None:
    """The package of the ``offline`` extra: all files are as pinned, and its sizes are those of MiniLM."""
    config = model_choices()["minilm"]
    assert config.package is not None
    if find_spec(config.package.module) is None:
        pytest.skip('the "offline" extra is not installed')
    found = find_backbone(config)
    assert found.commit == config.revision
    assert found.source == f"from the installed package {config.package.module}, digests checked"
    details = AutoConfig.from_pretrained(found.folder)
    assert (details.model_type, details.hidden_size, details.num_hidden_layers) == ("bert", 384, 6)
    assert load_tokenizer(found.folder, "none")("I feel fine")["input_ids"] == [101, 1045, 2514, 2986, 102]


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        (["config.json"], "config.json"),
        (["tokenizer.json", "tokenizer_config.json"], "tokenizer files"),
        (["model.safetensors"], "model.safetensors or pytorch_model.bin"),
    ],
)
def test_a_folder_that_lacks_something_is_refused(
    backbones: dict[str, Path], tmp_path: Path, left_out: list[str], missing: str
) -> None:
    folder = shutil.copytree(backbones["minilm"], tmp_path / "folder")
    for name in left_out:
        (folder / name).unlink()
    with pytest.raises(UserError) as caught:
        find_backbone(model_config("minilm", folder))
    assert str(caught.value) == f"model.backbone: must be a folder with {missing}, found {folder} without"


@pytest.mark.parametrize("name", ["./no/such", "/no/such", "~/no/such"])
def test_a_path_is_never_looked_up_on_the_hub(name: str) -> None:
    with pytest.raises(UserError, match=r"must be a folder with config.json, found .*no/such without$"):
        find_backbone(model_config("minilm", name))


@pytest.mark.usefixtures("cache")
def test_a_name_that_cannot_be_a_hub_id_is_refused() -> None:
    with pytest.raises(UserError, match=r"a hub id like owner/name, found no/such/folder$"):
        find_backbone(model_config("cardiff", "no/such/folder"))


def test_all_shards_are_read_and_needed(backbones: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(backbones["minilm"], tmp_path / "folder")
    model = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    config = model_config("minilm", folder)
    loaded = load_pretrained(find_backbone(config), EMOTION6).base_model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
    shards[-1].unlink()
    with pytest.raises(UserError, match=f"must be a folder with {shards[-1].name}, found"):
        find_backbone(config)


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_weights_are_loaded_under_a_new_head(backbones: dict[str, Path], kind: str) -> None:
    torch.manual_seed(0)
    model = load_pretrained(find_backbone(model_config(kind, backbones[kind])), EMOTION6)
    assert not model.training
    assert model.config.id2label == dict(enumerate(EMOTION6.names))
    assert model.config.label2id == {name: index for index, name in enumerate(EMOTION6.names)}
    state = model.state_dict()
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    saved = load_file(backbones[kind] / "model.safetensors")
    # RoBERTa's classifier has a pooler of its own and drops the backbone's.
    kept = {name: value for name, value in saved.items() if kind == "minilm" or not name.startswith("pooler.")}
    prefix = model.base_model_prefix + "."
    backbone = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    assert backbone.keys() == kept.keys()
    assert all(torch.equal(backbone[name], value) for name, value in kept.items())
    assert model(torch.tensor([[0, 5, 6, 2]])).logits.shape == (1, 6)


def test_half_precision_weights_are_loaded_as_float32(backbones: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(backbones["minilm"], tmp_path / "folder")
    AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"].dtype == torch.bfloat16
    assert load_pretrained(find_backbone(model_config("minilm", folder)), EMOTION6).dtype == torch.float32


@pytest.mark.parametrize(("kind", "limit"), [("bertweet", 128), ("cardiff", 256), ("modernbert", 256), ("minilm", 128)])
def test_position_limit_is_the_longest_input_that_runs(backbones: dict[str, Path], kind: str, limit: int) -> None:
    """Learned positions end at the limit, so one more token is out of range. ModernBERT computes its positions."""
    config = AutoConfig.from_pretrained(backbones[kind])
    assert position_limit(config) == limit
    model = AutoModel.from_pretrained(backbones[kind])
    model(torch.full((1, limit), 5))
    if kind != "modernbert":
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, limit + 1), 5))


def test_no_position_limit() -> None:
    assert position_limit(AutoConfig.for_model("t5")) is None
    assert position_limit(AutoConfig.for_model("xlnet")) is None


@pytest.mark.parametrize("load", ["tokenizer", "model"])
def test_broken_files_are_refused_in_one_line(backbones: dict[str, Path], tmp_path: Path, load: str) -> None:
    folder = shutil.copytree(backbones["minilm"], tmp_path / "folder")
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\n")
    backbone = find_backbone(model_config("minilm", folder))
    with pytest.raises(UserError, match=r"^model.backbone: must have files that transformers can read") as caught:
        load_tokenizer(folder, "none") if load == "tokenizer" else load_pretrained(backbone, EMOTION6)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
