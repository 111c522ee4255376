"""Trimming the vocabulary: the corpus keeps its tokens and predictions; other texts are spelled in smaller pieces."""

import copy
import json
import random
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tokenizers import pre_tokenizers

from emotion.checkpoint import build_tokenizer, load, save
from emotion.compression.steps.trim_vocabulary import TrimVocabularyConfig, trim_vocabulary_
from emotion.data import TextEncoder
from emotion.models import Predictor
from support.files import TEXTS
from support.predictors import KINDS, untrained
from support.vocabulary import CORPUS, FEW

# Control characters, emoji, other scripts, combining marks, a very long word, and special tokens.
ODD = [
    "\x00",
    "a\x00b",
    "👩\u200d👩\u200d👧",
    "我爱你",
    "e\u0301 Z\u0351\u036b",
    "x" * 5000,
    "SHOUTING!!!",
    "[MASK]<mask></s>",
]
ODD += ["\t\r\n", "\ufeff\u202e", "@@ a</w>"]


def encode(checkpoint: Predictor, texts: list[str], max_length: int | None = None) -> list[list[int]]:
    length = max_length or checkpoint.max_length
    rows = TextEncoder(checkpoint.tokenizer, checkpoint.normalization, length).encode(texts)
    return [row.tolist() for row in rows]


def token_strings(checkpoint: Predictor, texts: list[str]) -> list[list[str]]:
    return [checkpoint.tokenizer.convert_ids_to_tokens(row) for row in encode(checkpoint, texts)]


def unknown_counts(checkpoint: Predictor, texts: list[str]) -> list[int]:
    return [row.count(checkpoint.tokenizer.unk_token_id) for row in encode(checkpoint, texts, 100_000)]


def trimmed(checkpoint: Predictor, min_count: int = 1, texts: list[str] = CORPUS) -> Predictor:
    """A trimmed copy."""
    copied = copy.deepcopy(checkpoint)
    trim_vocabulary_(copied, TrimVocabularyConfig(min_count=min_count), texts)
    return copied


def other_words(checkpoint: Predictor) -> list[str]:
    """Tokens of the old vocabulary, alone and joined in twos and threes."""
    marks = str.maketrans({"@": "", "#": "", "Ġ": ""})
    tokens = checkpoint.tokenizer.get_vocab().keys() - checkpoint.tokenizer.get_added_vocab().keys()
    words = [word for token in sorted(tokens) if (word := token.translate(marks))]
    chance = random.Random(0)
    return words + ["".join(chance.choices(words, k=chance.randint(2, 3))) for _ in range(1000)]


def with_gaps(folder: Path, target: Path) -> Predictor:
    """Like the genuine BERTweet: some pieces that its merges make, and some characters, are not tokens."""
    shutil.copytree(folder, target)
    lines = (target / "vocab.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (target / "vocab.txt").write_text("".join(line for place, line in enumerate(lines) if place % 5), encoding="utf-8")
    return untrained("bertweet", target)


def with_specials_last(checkpoint: Predictor) -> Predictor:
    """Like the genuine ModernBERT: the ids of the five special tokens follow all others."""
    old = checkpoint.tokenizer.get_vocab()
    content = json.loads(checkpoint.tokenizer_files["tokenizer.json"])
    size = len(old)

    def moved(id_: int) -> int:
        return (id_ - 5) % size

    content["model"]["vocab"] = {token: moved(id_) for token, id_ in content["model"]["vocab"].items()}
    for token in content["added_tokens"]:
        token["id"] = moved(token["id"])
    for token in content["post_processor"]["special_tokens"].values():
        token["ids"] = [moved(id_) for id_ in token["ids"]]
    settings = json.loads(checkpoint.tokenizer_files["tokenizer_config.json"])
    settings["added_tokens_decoder"] = {str(token["id"]): {**token} for token in content["added_tokens"]}
    for token in settings["added_tokens_decoder"].values():
        del token["id"]
    files = {"tokenizer.json": json.dumps(content).encode(), "tokenizer_config.json": json.dumps(settings).encode()}
    model = checkpoint.model
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(model.get_input_embeddings().weight.roll(-5, dims=0))
    for name in ("pad", "cls", "bos", "sep", "eos"):
        setattr(model.config, f"{name}_token_id", moved(getattr(model.config, f"{name}_token_id")))
    checkpoint.tokenizer = build_tokenizer(files, model.config, checkpoint.normalization)
    checkpoint.tokenizer_files = files
    return checkpoint


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def original(kind: str, backbones: dict[str, Path]) -> Predictor:
    """An untrained checkpoint that tests must not change."""
    return untrained(kind, backbones[kind])


@pytest.fixture(scope="module")
def small(original: Predictor) -> Predictor:
    """The original trimmed to the corpus; tests must not change it."""
    return trimmed(original)


def test_the_corpus_keeps_its_tokens_and_predictions(original: Predictor, small: Predictor, tmp_path: Path) -> None:
    assert any(len(row) == small.max_length for row in encode(small, CORPUS)), "some texts must be cut"
    assert token_strings(small, CORPUS) == token_strings(original, CORPUS)
    assert torch.equal(small.predict_proba(CORPUS), original.predict_proba(CORPUS))

    vocabulary, before = small.tokenizer.get_vocab(), original.tokenizer.get_vocab()
    assert len(vocabulary) < 0.9 * len(before)
    assert small.model.config.vocab_size == len(vocabulary) == len(small.model.get_input_embeddings().weight)
    assert sum(map(len, small.tokenizer_files.values())) < sum(map(len, original.tokenizer_files.values()))
    save(small, tmp_path / "small.pt")
    loaded = load(tmp_path / "small.pt")
    assert token_strings(loaded, CORPUS) == token_strings(original, CORPUS)
    assert torch.equal(loaded.predict_proba([*TEXTS, *ODD]), small.predict_proba([*TEXTS, *ODD]))


def test_each_token_keeps_its_embedding_and_place(original: Predictor, small: Predictor) -> None:
    vocabulary, before = small.tokenizer.get_vocab(), original.tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert vocabulary.keys() < before.keys()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    assert all(before[one] < before[other] for one, other in pairwise(tokens))
    rows, old_rows = (each.model.get_input_embeddings().weight for each in (small, original))
    assert torch.equal(rows, old_rows[[before[token] for token in tokens]])
    assert {*original.tokenizer.all_special_tokens, *original.tokenizer.get_added_vocab()} <= vocabulary.keys()
    assert small.model.get_input_embeddings().padding_idx == small.tokenizer.pad_token_id
    assert small.model.get_input_embeddings().num_embeddings == len(vocabulary)


def test_other_texts_are_spelled_with_the_remaining_tokens(kind: str, original: Predictor, small: Predictor) -> None:
    texts = [*TEXTS, *ODD, *other_words(original)]
    assert token_strings(small, texts) != token_strings(original, texts), "the texts must use dropped tokens"
    before, after = unknown_counts(original, texts), unknown_counts(small, texts)
    assert all(new <= old for old, new in zip(before, after, strict=True))
    for text, old, new in zip(texts, encode(original, texts, 100_000), encode(small, texts, 100_000), strict=True):
        assert small.tokenizer.decode(new) == original.tokenizer.decode(old), text
    if kind in ("cardiff", "modernbert"):
        assert not any(after), "bytes can spell every text"
    assert torch.isfinite(small.predict_proba([*TEXTS, *ODD])).all()


@pytest.mark.parametrize("kind", ["cardiff", "modernbert"], indirect=True, scope="module")
def test_the_merges_still_reach_each_byte_level_token(small: Predictor) -> None:
    added = small.tokenizer.get_added_vocab()
    model = small.tokenizer.backend_tokenizer.model
    tokens = small.tokenizer.get_vocab().keys() - added.keys()
    assert len(tokens) > 256
    assert all([piece.value for piece in model.tokenize(token)] == [token] for token in tokens)


@pytest.mark.parametrize("kind", ["bertweet"], indirect=True, scope="module")
def test_the_merges_still_reach_each_word_of_bertweet(original: Predictor, small: Predictor) -> None:
    words = [word for word in original.tokenizer.get_vocab() if original.tokenizer.bpe(word) == word]
    kept = [word for word in words if word in small.tokenizer.get_vocab()]
    assert any(len(word) > 4 for word in kept)
    assert all(small.tokenizer.bpe(word) == word for word in kept)


def test_rare_tokens_are_dropped_on_request(original: Predictor, caplog: pytest.LogCaptureFixture) -> None:
    once = set(trimmed(original, 1, FEW).tokenizer.get_vocab())
    with caplog.at_level("INFO", logger="emotion"):
        twice = set(trimmed(original, 2, FEW).tokenizer.get_vocab())
    assert twice < once
    assert caplog.messages == [f"vocabulary: {len(twice)} of {len(original.tokenizer)} tokens kept"]
    used = [token for row in token_strings(original, FEW) for token in row]
    assert {token for token in used if used.count(token) >= 2} <= twice
    assert any(used.count(token) == 1 for token in once - twice)


def test_special_tokens_after_all_others_get_new_ids(backbones: dict[str, Path]) -> None:
    original = with_specials_last(untrained("modernbert", backbones["modernbert"]))
    assert original.tokenizer.pad_token_id > 600
    small = trimmed(original)
    tokenizer, config = small.tokenizer, small.model.config
    assert token_strings(small, CORPUS) == token_strings(original, CORPUS)
    assert torch.equal(small.predict_proba(CORPUS), original.predict_proba(CORPUS))
    assert b"added_tokens_decoder" not in small.tokenizer_files["tokenizer_config.json"]
    assert config.pad_token_id == tokenizer.pad_token_id == len(tokenizer) - 5
    assert config.cls_token_id == config.bos_token_id == tokenizer.cls_token_id == len(tokenizer) - 4
    assert config.sep_token_id == config.eos_token_id == tokenizer.sep_token_id == len(tokenizer) - 3
    assert small.model.get_input_embeddings().padding_idx == tokenizer.pad_token_id


def test_pieces_that_bertweet_lacks_become_tokens(backbones: dict[str, Path], tmp_path: Path) -> None:
    original = with_gaps(backbones["bertweet"], tmp_path / "gaps")
    small = trimmed(original, min_count=2)
    before, vocabulary = original.tokenizer.get_vocab(), small.tokenizer.get_vocab()
    new = vocabulary.keys() - before.keys()
    assert new
    old_rows, rows = (each.model.get_input_embeddings().weight for each in (original, small))
    merges = [tuple(line.split()[:2]) for line in original.tokenizer_files["bpe.codes"].decode().splitlines()]
    simple = 0
    for token in new:
        piece = token.removesuffix("@@") if token.endswith("@@") else f"{token}</w>"
        made = ["".join(merge) for merge in merges if piece in merge]
        names = [name.removesuffix("</w>") if name.endswith("</w>") else f"{name}@@" for name in made]
        if names and all(name in before for name in names):
            mean = torch.stack([old_rows[before[name]] for name in names]).mean(0)
            torch.testing.assert_close(rows[vocabulary[token]], mean)
            simple += 1
    assert simple
    texts = [*CORPUS, *TEXTS, *other_words(original)]
    counts = zip(unknown_counts(original, texts), unknown_counts(small, texts), strict=True)
    assert all(new <= old for old, new in counts)


def test_unknown_pieces_of_the_corpus_stay_unknown(backbones: dict[str, Path], tmp_path: Path) -> None:
    original = with_gaps(backbones["bertweet"], tmp_path / "gaps")
    assert sum(unknown_counts(original, FEW)) > 10
    small = trimmed(original)
    assert token_strings(small, CORPUS) == token_strings(original, CORPUS)
    assert torch.equal(small.predict_proba(CORPUS), original.predict_proba(CORPUS))


def test_a_word_that_is_cut_keeps_the_merges_of_its_last_part(backbones: dict[str, Path]) -> None:
    """``user`` is split into ``u s er`` and then cut to ``u s``; without the merge of ``er`` it would be ``u se``."""
    checkpoint = untrained("cardiff", backbones["cardiff"])
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "er", "se"]
    checkpoint.tokenizer_files = {
        "vocab.json": json.dumps({token: id_ for id_, token in enumerate([*vocabulary, "os"])}).encode(),
        "merges.txt": b"#version: 0.2\ne r\ns e\no s\n",
    }
    checkpoint.tokenizer = build_tokenizer(checkpoint.tokenizer_files, checkpoint.model.config, "cardiff")
    checkpoint.max_length = 5
    texts = ["@someone", "se"]
    expected = [["<s>", "@", "u", "s", "</s>"], ["<s>", "se", "</s>"]]
    assert token_strings(checkpoint, texts) == expected
    trim_vocabulary_(checkpoint, TrimVocabularyConfig(min_count=1), texts)
    assert token_strings(checkpoint, texts) == expected
    assert checkpoint.tokenizer.get_vocab() == {token: id_ for id_, token in enumerate(vocabulary)}
