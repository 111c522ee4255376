"""The static student computes what it is defined to, for each kind of tokenizer, and its files are like any other's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.decomposition import PCA
from torch.nn.functional import conv1d

from emotion.checkpoint import load, save
from emotion.compression import CompressConfig
from emotion.compression.steps.onnx_int8 import export_onnx_int8
from emotion.compression.steps.registry import StaticStepConfig
from emotion.compression.steps.static import check, static, token_vectors
from emotion.config import compose_config, resolve
from emotion.errors import UserError
from emotion.evaluation import integrated_gradients
from emotion.models import Predictor, StaticForSequenceClassification
from support.files import TEXTS
from support.predictors import KINDS, untrained

SIZES = StaticStepConfig(hidden_size=8, head_size=5, filters=6)
MEAN_ALONE = StaticStepConfig(hidden_size=8, head_size=5, filters=0)


@pytest.fixture(params=KINDS)
def original(request: pytest.FixtureRequest, backbones: dict[str, Path]) -> Predictor:
    return untrained(request.param, backbones[request.param])


def expected_logits(model: StaticForSequenceClassification, ids: list[int]) -> np.ndarray:
    """By the definition: the mean of the vectors, a convolution's maxima, a layer with ReLU, and a layer."""
    state = {name: value.double() for name, value in model.state_dict().items()}
    vectors = state["encoder.embeddings.weight"][ids]
    pooled = vectors.mean(dim=0)
    if model.config.filters:
        kernels = state["encoder.convolution.weight"].view(3, model.config.filters, -1).permute(1, 2, 0)
        filtered = conv1d(vectors.T[None], kernels, state["encoder.convolution_bias"], padding=1)[0]
        pooled = torch.cat([pooled, filtered.clamp(min=0).amax(dim=-1)])
    hidden = np.maximum(state["hidden.weight"].numpy() @ pooled.numpy() + state["hidden.bias"].numpy(), 0)
    logits: np.ndarray = state["classifier.weight"].numpy() @ hidden + state["classifier.bias"].numpy()
    return logits


@pytest.mark.parametrize("sizes", [SIZES, MEAN_ALONE], ids=["filters", "mean_alone"])
def test_it_is_a_small_head_on_a_mean_and_a_convolution(original: Predictor, sizes: StaticStepConfig) -> None:
    student = static(original, sizes, seed=3)
    assert isinstance(student.model, StaticForSequenceClassification)
    with torch.no_grad():
        for parameter in student.model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5))
    texts = [text for text in TEXTS if text.strip()]
    found = student.predict_proba(texts, batch_size=4)
    for text, probabilities in zip(texts, found, strict=True):
        (ids,) = student.encoder.encode([text])
        expected = softmax(expected_logits(student.model, ids.tolist()))
        np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-5)


def test_the_vectors_are_the_principal_components_of_each_token_alone(original: Predictor) -> None:
    vectors = token_vectors(original)
    assert vectors.shape == (original.model.config.vocab_size, original.model.config.hidden_size)
    (before, *_, after) = original.tokenizer("a word")["input_ids"]
    for token in (7, 20):
        inputs = torch.tensor([[before, token, after]])
        with torch.no_grad():
            last = original.torch_model.base_model(inputs, attention_mask=torch.ones_like(inputs))[0]
        np.testing.assert_allclose(vectors[token], last[0].mean(0), rtol=1e-3, atol=1e-5)
    student = static(original, SIZES, seed=3)
    table = student.torch_model.base_model.embeddings.weight.detach().numpy()
    reduced = PCA(8, random_state=0).fit_transform(vectors)
    padding = original.model.config.pad_token_id
    assert not table[padding].any()
    others = np.arange(len(table)) != padding
    np.testing.assert_allclose(table[others], (reduced / reduced.std())[others], rtol=1e-4, atol=1e-5)


def test_its_files_are_loaded_like_any_other(original: Predictor, tmp_path: Path) -> None:
    student = static(original, SIZES, seed=3)
    save(student, tmp_path / "static.pt")
    loaded = load(tmp_path / "static.pt")
    torch.testing.assert_close(loaded.predict_proba(TEXTS), student.predict_proba(TEXTS), rtol=1e-5, atol=1e-6)
    settings = resolve(compose_config("compress", ["technique=static"]), CompressConfig).onnx
    save(export_onnx_int8(student, settings, TEXTS), tmp_path / "static.onnx")
    small = load(tmp_path / "static.onnx")
    torch.testing.assert_close(small.predict_proba(TEXTS), student.predict_proba(TEXTS), rtol=0.05, atol=0.02)
    assert small.features(TEXTS).shape == (len(TEXTS), 8)


def test_its_words_are_explained(original: Predictor) -> None:
    """The gradients' integral is the change of the logit, from a text of padding, computed by the definition."""
    student = static(original, SIZES, seed=3)
    assert isinstance(student.model, StaticForSequenceClassification)
    text = "a word"
    (explained,) = integrated_gradients(student, [text], [1], steps=256)
    (ids,) = student.encoder.encode([text])
    blank = [ids[0], *[student.tokenizer.pad_token_id] * (len(ids) - 2), ids[-1]]
    change = expected_logits(student.model, ids.tolist())[1] - expected_logits(student.model, blank)[1]
    assert sum(word.score for word in explained.words) == pytest.approx(change, abs=0.01)
    assert abs(change) > 0.01


def test_it_is_no_wider_than_the_model(backbones: dict[str, Path]) -> None:
    original = untrained("minilm", backbones["minilm"])
    wide = static(original, StaticStepConfig(hidden_size=10_000, head_size=5, filters=0), seed=3)
    assert wide.torch_model.config.hidden_size == original.torch_model.config.hidden_size


def test_it_refuses_steps_whose_work_would_be_lost() -> None:
    check(SIZES, ["trim_vocabulary"], None)
    with pytest.raises(UserError, match="static must come first or after trim_vocabulary, found it after drop_layers"):
        check(SIZES, ["trim_vocabulary", "drop_layers"], None)
