"""Tokens go to the device once; the batches that are made there equal those that the encoder pads."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emotion.data import EmotionDataModule, LabelledTexts, TextEncoder, TokenisedRows
from emotion.models import load_tokenizer, model_choices
from support.files import sample_rows
from support.labels import EMOTION6
from support.predictors import NAMES

TEXTS = ["", *(text for text, _ in sample_rows("train", 40))]


@pytest.fixture(params=NAMES)
def encoder(request: pytest.FixtureRequest, backbones: dict[str, Path]) -> TextEncoder:
    normalization = model_choices()[request.param].normalization
    return TextEncoder(load_tokenizer(backbones[request.param], normalization), normalization, 48, 8)


def test_batches_are_padded_as_the_encoder_pads(encoder: TextEncoder) -> None:
    encoded = encoder.encode(TEXTS)
    targets = {"labels": torch.arange(len(TEXTS)), "answers": torch.randn(len(TEXTS), 6)}
    rows = TokenisedRows(encoded, targets).to(torch.device("cpu"))
    assert rows.lengths.tolist() == [len(row) for row in encoded]
    for indices in ([0], [3, 0, 40], list(np.random.default_rng(0).permutation(len(TEXTS)))):
        batch = rows.batch(indices, encoder)
        expected = encoder.pad([encoded[index] for index in indices])
        assert batch.keys() == {*expected, *targets}
        for name, values in expected.items():
            assert batch[name].dtype == values.dtype
            assert torch.equal(batch[name], values)
        for name, values in targets.items():
            assert torch.equal(batch[name], values[indices])


def test_a_batch_is_made_where_the_rows_are(encoder: TextEncoder) -> None:
    """The device ``meta`` computes only shapes, and fails if a tensor on another device is needed."""
    rows = TokenisedRows(encoder.encode(TEXTS), {"labels": torch.zeros(len(TEXTS))}).to(torch.device("meta"))
    batch = rows.batch([1, 2, 3], encoder)
    assert {name: values.device.type for name, values in batch.items()} == {
        "input_ids": "meta",
        "attention_mask": "meta",
        "labels": "cpu",
    }
    assert batch["input_ids"].shape == encoder.pad(encoder.encode(TEXTS[1:4]))["input_ids"].shape


def test_the_loaders_keep_tokens_on_the_trainers_device(encoder: TextEncoder) -> None:
    rows = LabelledTexts("", "", TEXTS, [0] * len(TEXTS), EMOTION6)
    data = EmotionDataModule(rows, rows, batch_size=8, seed=0)
    data.tokenise(encoder)
    strategy = SimpleNamespace(root_device=torch.device("meta"))
    data.trainer = SimpleNamespace(strategy=strategy, world_size=1, global_rank=0, current_epoch=0)  # type: ignore[assignment]
    for loader in (data.train_dataloader(), data.val_dataloader()):
        batches = list(loader)
        assert len(batches) == 6
        assert {batch["input_ids"].device.type for batch in batches} == {"meta"}
