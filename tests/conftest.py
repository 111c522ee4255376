"""Tiny backbones of all four architectures, each with its own tokenizer class, checkpoints and small corpora."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read at import: no test touches the network
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read at import; workers that share cores must not wait for threads

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel

from emotion.backbone import find_backbone
from emotion.checkpoint import Checkpoint
from emotion.config import SAMPLE, model_choices
from emotion.pretrained import load_pretrained, load_tokenizer
from emotion.schemas.train import ModelConfig

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


def make_backbone(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a backbone of two small random layers, as the hub would hold it: config, weights, tokenizer files."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [text for text, _ in sample_rows(limit=300)]
    size = {"bertweet": _bertweet, "cardiff": _cardiff, "modernbert": _modernbert, "minilm": _minilm}[kind](
        folder, texts
    )
    dimensions = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 48}
    if kind == "modernbert":
        specials = {"pad_token_id": 0, "cls_token_id": 1, "bos_token_id": 1, "sep_token_id": 2, "eos_token_id": 2}
        config = AutoConfig.for_model(
            "modernbert",
            vocab_size=size,
            max_position_embeddings=256,
            classifier_pooling="mean",
            **dimensions,
            **specials,
        )
    elif kind == "minilm":
        config = AutoConfig.for_model("bert", vocab_size=size, max_position_embeddings=128, **dimensions)
    else:
        positions = {"bertweet": 130, "cardiff": 258}[kind]
        config = AutoConfig.for_model(
            "roberta", vocab_size=size, max_position_embeddings=positions, type_vocab_size=1, **dimensions
        )
        if kind == "bertweet":
            config.tokenizer_class = "BertweetTokenizer"
    torch.manual_seed(seed)
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


def _bertweet(folder: Path, texts: list[str]) -> int:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    last_letters = [f"{letter}</w>" for letter in _letters(texts)]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=700, end_of_word_suffix="</w>", special_tokens=last_letters, show_progress=False
        ),
    )
    learned = json.loads(tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, list) else pair.split(" ") for pair in learned["merges"]]
    (folder / "bpe.codes").write_text("".join(f"{a} {b} 0\n" for a, b in merges), encoding="utf-8")
    words = {token[:-4] if token.endswith("</w>") else f"{token}@@" for token in learned["vocab"]}
    words |= {"@USER", "HTTPURL", ":red_heart:"}
    # Every byte of BERTweet's vocabulary file is a word and a count.
    (folder / "vocab.txt").write_text("".join(f"{word} 0\n" for word in sorted(words)), encoding="utf-8")
    return 4 + len(words) + 1


def _letters(texts: list[str]) -> list[str]:
    """In a fixed order: trainers number pieces as their hash tables come, and equal counts go by number.

    Given to a trainer beforehand, with what marks their place in a word, they make it learn the same in each process.
    """
    return sorted({letter for text in texts for letter in text if not letter.isspace()})


def _byte_level(texts: list[str], specials: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _cardiff(folder: Path, texts: list[str]) -> int:
    tokenizer = _byte_level(texts, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.model.save(str(folder))  # vocab.json and merges.txt alone, as on the hub
    return tokenizer.get_vocab_size()


def _modernbert(folder: Path, texts: list[str]) -> int:
    tokenizer = _byte_level(texts, ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    _tokenizer_config(folder, "PreTrainedTokenizerFast")
    return tokenizer.get_vocab_size()


def _minilm(folder: Path, texts: list[str]) -> int:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    normalised = [tokenizer.normalizer.normalize_str(text) for text in texts]
    later_letters = [f"##{letter}" for letter in _letters(normalised)]
    trainer = trainers.WordPieceTrainer(vocab_size=700, special_tokens=[*specials, *later_letters], show_progress=False)
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = tokenizer.pre_tokenizer
    learner.train_from_iterator(normalised, trainer)
    tokenizer.model = models.WordPiece(learner.get_vocab(), unk_token="[UNK]")
    tokenizer.add_special_tokens(specials)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    _tokenizer_config(folder, "BertTokenizer", do_lower_case=True)
    return tokenizer.get_vocab_size()


def _tokenizer_config(folder: Path, tokenizer_class: str, **options: object) -> None:
    specials = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    content = {"tokenizer_class": tokenizer_class, **specials, **options}
    (folder / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")


def untrained(kind: str, folder: Path) -> Checkpoint:
    """A checkpoint of a tiny backbone as if it were trained: no weight is 0 or 1, and texts get different labels.

    Hardly any of its weights is a half-precision number.
    """
    config = model_config(kind, folder)
    backbone = find_backbone(config)
    torch.manual_seed(3)
    model = load_pretrained(backbone)
    checkpoint = Checkpoint(
        model=model,
        tokenizer=load_tokenizer(backbone.folder, config.normalization),
        tokenizer_files=backbone.tokenizer_files(),
        model_id="owner/" + kind,
        model_name=NAMES[kind],
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


def _logits(checkpoint: Checkpoint) -> torch.Tensor:
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
        untrained(kind, backbones[kind]).save(path)
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
    config = model_choices()[kind]
    config.backbone = str(backbone)
    return config


def out_of_memory(*_: object) -> None:
    """What torch does when a batch is too large."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.path.stem != "test_readme")
