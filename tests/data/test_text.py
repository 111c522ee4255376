"""Text to token ids: each architecture's own tokenizer, normalisation, cutting and padding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion.data import TextEncoder, normalize_cardiff
from emotion.models import load_tokenizer
from support.predictors import KINDS, model_config

TEXTS = ["I'm SO happy!", "", "no", "thanks @bob, see https://example.com/x", "very " * 300]


def encoder(kind: str, folder: Path, max_length: int = 64) -> TextEncoder:
    normalization = model_config(kind, folder).normalization
    return TextEncoder(load_tokenizer(folder, normalization), normalization, max_length)


@pytest.mark.parametrize("kind", KINDS)
def test_padded_batch_equals_the_tokenizers_own(kind: str, backbones: dict[str, Path]) -> None:
    ours = encoder(kind, backbones[kind])
    texts = [normalize_cardiff(text) for text in TEXTS] if kind == "cardiff" else TEXTS
    expected = ours.tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
    batch = ours.pad(ours.encode(TEXTS))
    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert torch.equal(batch["attention_mask"], expected["attention_mask"])
    assert batch["input_ids"].shape == (5, 64)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_are_cut_are_marked(kind: str, backbones: dict[str, Path]) -> None:
    ours = encoder(kind, backbones[kind])
    whole = load_tokenizer(backbones[kind], ours.normalization)
    texts = [*TEXTS, *("a" + " b" * count for count in range(80))]
    as_read = [normalize_cardiff(text) for text in texts] if kind == "cardiff" else texts
    lengths = [len(whole(text)["input_ids"]) for text in as_read]
    assert 64 in lengths, "one text must just fit"
    rows, truncated = ours.encode_and_mark(texts)
    assert [len(row) for row in rows] == [min(length, 64) for length in lengths]
    assert truncated.tolist() == [length > 64 for length in lengths]
    unique, cut, places = ours.encode_unique([*texts, *texts])
    assert [unique[place].tolist() for place in places] == [row.tolist() for row in rows] * 2
    assert cut[places].tolist() == truncated.tolist() * 2


@pytest.mark.parametrize(("step", "tokens"), [(1, 11), (8, 16), (32, 20)])
def test_lengths_are_padded_to_multiples_up_to_the_maximum(step: int, tokens: int, backbones: dict[str, Path]) -> None:
    ours = replace(encoder("minilm", backbones["minilm"], max_length=20), pad_to_multiple_of=step)
    rows = [np.arange(5, dtype=np.int32), np.arange(11, dtype=np.int32)]
    batch = ours.pad(rows)
    expected = ours.tokenizer.pad({"input_ids": rows}, padding="max_length", max_length=tokens, return_tensors="pt")
    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert torch.equal(batch["attention_mask"], expected["attention_mask"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hi @bob_b!", "hi @user"),
        ("@ home", "@ home"),
        ("see https://t.co/x now", "see http now"),
        ("httpx", "http"),
        ("plain  double space", "plain  double space"),
        ("", ""),
    ],
)
def test_cardiff_normalisation(text: str, expected: str) -> None:
    assert normalize_cardiff(text) == expected


def test_bertweet_normalises_users_links_and_emoji(backbones: dict[str, Path]) -> None:
    ours = encoder("bertweet", backbones["bertweet"])
    as_written = ours.encode(["@bob ❤ https://example.com can't"])[0]
    normalised = load_tokenizer(backbones["bertweet"], "none")("@USER :red_heart: HTTPURL can't")["input_ids"]
    assert as_written.tolist() == normalised


def test_no_texts_give_no_rows() -> None:
    assert TextEncoder(None, "none", 8).encode([]) == []  # type: ignore[arg-type]


def test_many_texts_are_encoded_as_each_alone(backbones: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ours = encoder("minilm", backbones["minilm"])
    texts = [f"text {number} " * (number % 40) for number in range(50)]
    rows, truncated = ours.encode_and_mark(texts)
    alone = [ours.encode_and_mark([text]) for text in texts]
    monkeypatch.setattr("emotion.data.text.TEXTS_AT_ONCE", 7)
    parts, marks = ours.encode_and_mark(texts)
    for place, ((row,), (mark,)) in enumerate(alone):
        assert rows[place].tolist() == parts[place].tolist() == row.tolist()
        assert truncated[place] == marks[place] == mark
