"""Tiny backbones of all four architectures, each with its own tokenizer class, and small corpora."""

import csv
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read at import: no test touches the network

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel

from emotion.config import SAMPLE, model_choices
from emotion.schemas.train import ModelConfig

KINDS = ("bertweet", "cardiff", "modernbert", "minilm")
NAMES = {choice: config.name for choice, config in model_choices().items()}


def sample_rows(split: str = "train", limit: int | None = None) -> list[tuple[str, int]]:
    """(text, label) rows of the sample corpus."""
    with (SAMPLE / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], int(row["label"])) for row in csv.DictReader(file)]
    return rows[:limit]


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
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=700, end_of_word_suffix="</w>", show_progress=False)
    )
    learned = json.loads(tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, list) else pair.split(" ") for pair in learned["merges"]]
    (folder / "bpe.codes").write_text("".join(f"{a} {b} 0\n" for a, b in merges), encoding="utf-8")
    words = {token[:-4] if token.endswith("</w>") else f"{token}@@" for token in learned["vocab"]}
    words |= {"@USER", "HTTPURL", ":red_heart:"}
    # Every byte of BERTweet's vocabulary file is a word and a count.
    (folder / "vocab.txt").write_text("".join(f"{word} 0\n" for word in sorted(words)), encoding="utf-8")
    return 4 + len(words) + 1


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
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=700, special_tokens=specials, show_progress=False)
    )
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


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a tiny backbone for each file of ``conf/model``."""
    root = tmp_path_factory.mktemp("backbones")
    return {kind: make_backbone(kind, root / kind) for kind in KINDS}


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
