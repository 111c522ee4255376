"""Tiny random backbones of all four architectures, each with its own tokenizer class."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel

from emotion.config import SAMPLE
from emotion.data import LabelledTexts
from support.labels import EMOTION6


def make_backbone(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a backbone of two small random layers, as the hub would hold it: config, weights, tokenizer files."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = LabelledTexts.read(str(SAMPLE / "train.csv"), "text", "label", EMOTION6, "data.train").texts[:300]
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
    # Each line of BERTweet's vocabulary file is a word and a count.
    (folder / "vocab.txt").write_text("".join(f"{word} 0\n" for word in sorted(words)), encoding="utf-8")
    return 4 + len(words) + 1


def _letters(texts: list[str]) -> list[str]:
    """The letters of the texts, in a fixed order.

    A trainer numbers pieces in the order of its hash tables, which differs between processes, and uses the numbers to
    break ties. If it gets the letters beforehand, marked by their place in a word, it learns the same in each process.
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
    tokenizer.model.save(str(folder))  # only vocab.json and merges.txt, as on the hub
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
