"""Factorised embeddings: the nearest product of its rank, in any architecture, from and to files."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emotion.article import ExportConfig, export
from emotion.checkpoint import load, save
from emotion.compression import CompressConfig
from emotion.compression.steps.factorize_embeddings import factorize_embeddings_, nearest_product
from emotion.compression.steps.narrow import narrow_
from emotion.compression.steps.onnx_int8 import export_onnx_int8
from emotion.compression.steps.registry import (
    FactorizeEmbeddingsConfig,
    NarrowConfig,
    StaticStepConfig,
    TrimVocabularyConfig,
)
from emotion.compression.steps.static import static
from emotion.compression.steps.trim_vocabulary import trim_vocabulary_
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.evaluation import integrated_gradients
from emotion.models import FactorizedEmbedding, Predictor
from support.files import sample_rows
from support.layers import lively, logits
from support.predictors import KINDS

ROWS = sample_rows("train", 24)
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]
HIDDEN = 32


@pytest.fixture(params=KINDS)
def checkpoint(request: pytest.FixtureRequest, backbones: dict[str, Path]) -> Predictor:
    return lively(request.param, backbones[request.param])


def factorize(checkpoint: Predictor, rank: int) -> None:
    factorize_embeddings_(
        checkpoint, FactorizeEmbeddingsConfig(rank=rank / checkpoint.torch_model.config.hidden_size), TEXTS
    )


def table(checkpoint: Predictor) -> Tensor:
    """The vector of each token, (tokens, hidden size)."""
    embedding = checkpoint.torch_model.get_input_embeddings()
    return embedding(torch.arange(checkpoint.torch_model.config.vocab_size)).detach()


def counts_of(checkpoint: Predictor) -> np.ndarray:
    """How often each token occurs, and once more, counted one text after the other."""
    counts = np.ones(checkpoint.torch_model.config.vocab_size)
    for text in TEXTS:
        for id_ in checkpoint.encoder.encode([text])[0].tolist():
            counts[id_] += 1
    return counts


def test_no_product_of_that_rank_is_nearer(checkpoint: Predictor) -> None:
    """By the theorem of Eckart and Young: the distance is the root of the squares of the singular values left out."""
    before, weights = table(checkpoint).double().numpy(), np.sqrt(counts_of(checkpoint))[:, None]
    factorize(checkpoint, 8)
    assert np.linalg.matrix_rank(table(checkpoint).double().numpy(), tol=1e-4) == 8
    singular_values = np.linalg.svd(weights * before, compute_uv=False)
    distance = np.linalg.norm(weights * (before - table(checkpoint).double().numpy()))
    assert distance == pytest.approx(np.sqrt((singular_values[8:] ** 2).sum()), rel=1e-4)


def test_embeddings_of_that_rank_compute_as_before(checkpoint: Predictor) -> None:
    embedding = checkpoint.torch_model.get_input_embeddings()
    generator = torch.Generator().manual_seed(1)
    thin = torch.randn(HIDDEN, 8, generator=generator) @ torch.randn(8, HIDDEN, generator=generator) / 8
    embedding.weight.data = embedding.weight.data @ thin
    before = logits(checkpoint)
    size = sum(value.numel() for value in checkpoint.torch_model.parameters())
    factorize(checkpoint, 8)
    torch.testing.assert_close(logits(checkpoint), before, rtol=1e-3, atol=1e-3)
    tokens = checkpoint.torch_model.config.vocab_size
    saved = tokens * (HIDDEN - 8) - 8 * HIDDEN
    assert sum(value.numel() for value in checkpoint.torch_model.parameters()) == size - saved


def test_more_frequent_tokens_come_nearer() -> None:
    matrix = torch.randn(12, 6, generator=torch.Generator().manual_seed(2))
    counts = torch.ones(12)
    counts[3] = 1000

    def distance(counts: Tensor) -> float:
        vectors, projection = nearest_product(matrix, counts, 2)
        assert torch.allclose(projection @ projection.T, torch.eye(2), atol=1e-5)
        return float((vectors @ projection - matrix)[3].norm())

    assert distance(counts) < 0.1 * distance(torch.ones(12))


def test_files_hold_the_factors(checkpoint: Predictor, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "plain.pt")
    trim_vocabulary_(checkpoint, TrimVocabularyConfig(min_count=1), TEXTS)
    factorize(checkpoint, 8)
    expected = checkpoint.predict_proba(TEXTS)
    save(checkpoint, tmp_path / "small.pt")
    loaded = load(tmp_path / "small.pt")
    assert torch.equal(loaded.predict_proba(TEXTS), expected)
    assert isinstance(loaded.torch_model.get_input_embeddings(), FactorizedEmbedding)
    assert (tmp_path / "small.pt").stat().st_size < (tmp_path / "plain.pt").stat().st_size
    settings = resolve(compose_config("compress", []), CompressConfig).onnx
    save(export_onnx_int8(checkpoint, settings, TEXTS), tmp_path / "small.onnx")
    found = load(tmp_path / "small.onnx").predict_proba(TEXTS)
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.8
    assert (found - expected).abs().mean() < 0.05


def test_steps_after_it_do_as_they_would(checkpoint: Predictor, tmp_path: Path) -> None:
    """Trimming takes the same rows; narrowing takes the same parts of the result."""
    factorize(checkpoint, 8)
    plain = copy.deepcopy(checkpoint)
    plain.torch_model.set_input_embeddings(nn.Embedding.from_pretrained(table(plain), freeze=False))
    del plain.torch_model.config.embedding_rank
    for each in (plain, checkpoint):
        trim_vocabulary_(each, TrimVocabularyConfig(min_count=1), TEXTS)
        narrow_(each, NarrowConfig(ffn=0.5, heads=1.0, hidden=0.5), TEXTS, LABELS)
    assert table(checkpoint).shape[1] == HIDDEN // 2
    torch.testing.assert_close(logits(checkpoint), logits(plain), rtol=1e-3, atol=1e-3)
    save(checkpoint, tmp_path / "model.pt")
    assert torch.equal(load(tmp_path / "model.pt").predict_proba(TEXTS), checkpoint.predict_proba(TEXTS))


def test_hidden_states_are_not_narrowed_to_the_rank(checkpoint: Predictor) -> None:
    factorize(checkpoint, HIDDEN // 2)
    before = logits(checkpoint)
    with pytest.raises(UserError, match=rf"wider than the embeddings' rank of {HIDDEN // 2}, found {HIDDEN // 2}; put"):
        narrow_(checkpoint, NarrowConfig(ffn=0.5, heads=1.0, hidden=0.5), TEXTS, LABELS)
    assert torch.equal(logits(checkpoint), before)


def test_explanations_read_the_product(backbones: dict[str, Path]) -> None:
    checkpoint = lively("minilm", backbones["minilm"])
    factorize(checkpoint, 8)
    plain = copy.deepcopy(checkpoint)
    plain.torch_model.set_input_embeddings(nn.Embedding.from_pretrained(table(plain)))
    found, expected = (integrated_gradients(each, TEXTS[:2], steps=4) for each in (checkpoint, plain))
    for one, other in zip(found, expected, strict=True):
        assert [word.score for word in one.words] == pytest.approx([word.score for word in other.words], abs=1e-4)


@pytest.mark.parametrize(("share", "rank"), [(1e-9, 2), (0.5, HIDDEN // 2), (0.99, HIDDEN)])
def test_shares_become_ranks(share: float, rank: int, backbones: dict[str, Path]) -> None:
    checkpoint = lively("minilm", backbones["minilm"])
    factorize_embeddings_(checkpoint, FactorizeEmbeddingsConfig(rank=share), TEXTS)
    assert np.linalg.matrix_rank(table(checkpoint).numpy(), tol=1e-4) == rank
    assert checkpoint.torch_model.config.embedding_rank == rank


@pytest.mark.parametrize("rank", ["0", "1", "192", "-0.5"])
def test_a_rank_is_a_share(rank: str) -> None:
    with pytest.raises(UserError, match=r"^factorize_embeddings.rank: must be a share between 0 and 1, both excluded"):
        resolve(compose_config("compress", [f"factorize_embeddings.rank={rank}"]), CompressConfig)


def test_a_second_time_is_refused(backbones: dict[str, Path]) -> None:
    checkpoint = lively("minilm", backbones["minilm"])
    factorize(checkpoint, 8)
    with pytest.raises(UserError, match=r"must have a plain matrix of embeddings, found FactorizedEmbedding$"):
        factorize(checkpoint, 4)


def test_a_static_classifier_can_be_factorised_too(backbones: dict[str, Path], tmp_path: Path) -> None:
    student = static(
        lively("minilm", backbones["minilm"]), StaticStepConfig(hidden_size=16, head_size=8, filters=4), seed=0
    )
    factorize(student, 4)
    save(student, tmp_path / "static.pt")
    loaded = load(tmp_path / "static.pt")
    torch.testing.assert_close(loaded.predict_proba(TEXTS), student.predict_proba(TEXTS), rtol=1e-5, atol=1e-6)


def test_a_folder_for_transformers_is_refused(backbones: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = lively("minilm", backbones["minilm"])
    factorize(checkpoint, 8)
    save(checkpoint, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"^weights: must be of a shape .*, found factorised embeddings; give"):
        export(ExportConfig(weights=str(tmp_path / "model.pt"), output=str(tmp_path / "hub")))
