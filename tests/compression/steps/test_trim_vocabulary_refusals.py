"""Tokenizers that cannot be trimmed are refused in one line, and nothing is changed."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from emotion.checkpoint import build_tokenizer
from emotion.compression.steps.trim_vocabulary import TrimVocabularyConfig, trim_vocabulary_
from emotion.errors import UserError
from emotion.models import Predictor
from support.predictors import untrained
from support.vocabulary import CORPUS


def state_of(checkpoint: Predictor) -> tuple[object, ...]:
    weights = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    files = dict(checkpoint.tokenizer_files)
    return weights, checkpoint.model.config.to_dict(), files, checkpoint.tokenizer, checkpoint.tokenizer.get_vocab()


def refusal_of(checkpoint: Predictor) -> str:
    """The message of a refusal, which is one line and changes nothing."""
    weights, *others = state_of(checkpoint)
    with pytest.raises(UserError) as caught:
        trim_vocabulary_(checkpoint, TrimVocabularyConfig(min_count=1), CORPUS)
    left, *others_left = state_of(checkpoint)
    assert others_left == others
    assert all(torch.equal(left[name], value) for name, value in weights.items())  # type: ignore[attr-defined,index]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_tokenizer_of_another_kind_is_refused(backbones: dict[str, Path]) -> None:
    checkpoint = untrained("modernbert", backbones["modernbert"])
    pieces = [("<unk>", 0.0), *((chr(code), -1.0) for code in range(32, 127))]
    unigram = Tokenizer(models.Unigram(pieces, unk_id=0))
    checkpoint.tokenizer = PreTrainedTokenizerFast(tokenizer_object=unigram, unk_token="<unk>")
    assert refusal_of(checkpoint) == (
        "technique.steps: trim_vocabulary must have a WordPiece or BPE tokenizer, found"
        f" {type(checkpoint.tokenizer).__name__} of the kind Unigram"
    )


def test_a_pad_token_that_numbers_the_positions_must_stay(backbones: dict[str, Path]) -> None:
    checkpoint = untrained("cardiff", backbones["cardiff"])
    vocabulary = json.loads(checkpoint.tokenizer_files["vocab.json"])
    last = max(vocabulary, key=vocabulary.__getitem__)
    vocabulary["<pad>"], vocabulary[last] = vocabulary[last], vocabulary["<pad>"]
    checkpoint.tokenizer_files["vocab.json"] = json.dumps(vocabulary).encode()
    checkpoint.tokenizer = build_tokenizer(checkpoint.tokenizer_files, checkpoint.model.config, "cardiff")
    checkpoint.model.config.pad_token_id = vocabulary["<pad>"]
    assert "must keep the pad token's id in a roberta, found 699 and then" in refusal_of(checkpoint)


def test_a_tokenizer_that_differs_from_its_files_is_refused(backbones: dict[str, Path]) -> None:
    checkpoint = untrained("bertweet", backbones["bertweet"])
    checkpoint.tokenizer.add_tokens("happyhappy")
    assert "must have a tokenizer that its files describe" in refusal_of(checkpoint)


def test_a_tokenizer_that_splits_words_at_random_is_refused(backbones: dict[str, Path]) -> None:
    checkpoint = untrained("modernbert", backbones["modernbert"])
    content = json.loads(checkpoint.tokenizer_files["tokenizer.json"])
    content["model"]["dropout"] = 0.5
    checkpoint.tokenizer_files["tokenizer.json"] = json.dumps(content).encode()
    checkpoint.tokenizer = build_tokenizer(checkpoint.tokenizer_files, checkpoint.model.config, "none")
    assert "must leave the training texts' tokens as they are, found" in refusal_of(checkpoint)


def test_an_embedding_without_all_tokens_is_refused(backbones: dict[str, Path]) -> None:
    checkpoint = untrained("minilm", backbones["minilm"])
    checkpoint.model.resize_token_embeddings(400)
    checkpoint.max_length = 3
    assert "must find embeddings for" in refusal_of(checkpoint)
