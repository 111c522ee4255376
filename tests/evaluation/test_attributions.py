"""Attributions, compared with hand arithmetic on a linear model and with plain loops on tiny transformers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion import checkpoint
from emotion.errors import UserError
from emotion.evaluation import Attribution, integrated_gradients, occlusion
from emotion.models import NotFiniteError, OnnxClassifier, Predictor, quantized
from support.linear_model import linear
from support.onnx_models import constant_logits
from support.predictors import KINDS

TEXTS = ["I can't stop smiling, you know", "so  very\tsad \n today ", "fine", "", "   "]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def predictors(originals: dict[str, Path]) -> dict[str, Predictor]:
    return {kind: checkpoint.load(path) for kind, path in originals.items()}


@pytest.fixture
def minilm(originals: dict[str, Path]) -> Predictor:
    """One that a test may change."""
    return checkpoint.load(originals["minilm"])


def words(attribution: Attribution) -> list[str]:
    return [attribution.text[word.start : word.end] for word in attribution.words]


def scores(attribution: Attribution) -> list[float]:
    return [word.score for word in attribution.words]


@pytest.mark.parametrize("kind", KINDS)
def test_occlusion_is_what_a_plain_loop_gives(kind: str, predictors: dict[str, Predictor]) -> None:
    predictor = predictors[kind]
    parts = [["I ", "can't ", "stop ", "smiling, ", "you ", "know"], ["so  ", "very\t", "sad \n ", "today "], ["fine"]]
    for attribution, pieces in zip(occlusion(predictor, TEXTS), parts, strict=False):
        whole = predictor.predict_proba(["".join(pieces)])[0]
        assert attribution.label == whole.argmax()
        assert attribution.probability == pytest.approx(float(whole.max()), abs=1e-4)
        assert words(attribution) == [piece.strip() for piece in pieces]
        for place, score in enumerate(scores(attribution)):
            without = "".join(pieces[:place] + pieces[place + 1 :])
            if place == len(pieces) - 1:  # then it is the space before it that goes
                without = "".join(pieces[:place]).rstrip() + pieces[place].removeprefix(pieces[place].strip())
            left = predictor.predict_proba([without])[0, attribution.label]
            assert score == pytest.approx(float(whole[attribution.label].log() - left.log()), abs=2e-4), without


def test_texts_without_words_have_no_scores(predictors: dict[str, Predictor]) -> None:
    for explain in (occlusion, integrated_gradients):
        for attribution in explain(predictors["minilm"], ["", "  \n"]):
            assert attribution.words == []
            assert attribution.convergence_gap in (None, 0.0)
        assert explain(predictors["minilm"], []) == []


def by_hand(predictor: Predictor, text: str, parts: Sequence[str], label: int) -> list[float]:
    """The exact integrated gradients of each part's tokens, as they are read alone."""
    tokenizer, model = predictor.tokenizer, predictor.model
    table, padding = model.table.weight.double(), tokenizer.pad_token_id
    tokens = len(predictor.encoder.encode([text])[0])
    found = []
    for part in parts:
        ids = tokenizer(part, add_special_tokens=False)["input_ids"]
        found.append(float(((table[ids] - table[padding]) @ model.head.double()[:, label]).sum() / tokens))
    return found


@pytest.mark.parametrize(
    ("kind", "text", "parts"),
    [
        ("minilm", "I can't stop smiling , unbelievably", ["I", "can't", "stop", "smiling", ",", "unbelievably"]),
        ("minilm", "\u00c9clair caf\u00e9  x", ["\u00c9clair", "caf\u00e9", "x"]),
        ("bertweet", "I don't love @bob http://x.y so \U0001f642", ["I", "do n't", "love", "@bob", "http://x.y", "so",
                                                                 "\U0001f642"]),
        ("cardiff", "I hate @bob http://x.y now", ["I", " hate", " @user", " http", " now"]),
        ("modernbert", "I hate @bob so", ["I", " hate", " @bob", " so"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("label", [0, 4])
def test_gradients_of_a_linear_model_are_its_weights_times_the_inputs(
    kind: str, text: str, parts: list[str], label: int, originals: dict[str, Path]
) -> None:
    predictor = linear(checkpoint.load(originals[kind]))
    for steps in (1, 32):
        (attribution,) = integrated_gradients(predictor, [text], [label], steps)
        assert words(attribution) == text.split()
        assert scores(attribution) == pytest.approx(by_hand(predictor, text, parts, label), abs=2e-6)
        assert attribution.convergence_gap == pytest.approx(0, abs=2e-6)


def plain_gradients(predictor: Predictor, text: str, label: int, steps: int) -> np.ndarray:
    """(tokens,): a loop that replaces the embeddings while the model reads ids, one text and one step at a time."""
    model, tokenizer = predictor.torch_model, predictor.tokenizer
    ids = torch.from_numpy(predictor.encoder.encode([text])[0]).long()[None]
    padded = ids.clone()
    padded[0, 1:-1] = tokenizer.pad_token_id
    table = model.get_input_embeddings()
    start, end = (torch.nn.functional.embedding(each, table.weight).detach() for each in (padded, ids))
    gradients = torch.zeros_like(end)
    for step in range(steps):
        point = (start + (2 * step + 1) / (2 * steps) * (end - start)).requires_grad_()
        hook = table.register_forward_hook(lambda *_, point=point: point)
        logit = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, label]
        hook.remove()
        gradients += torch.autograd.grad(logit, point)[0] / steps
    return (gradients * (end - start)).sum(-1)[0].double().numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_what_a_plain_loop_gives(kind: str, predictors: dict[str, Predictor]) -> None:
    predictor = predictors[kind]
    texts = ["I hate this", "so very very sad about it today"]
    for attribution in integrated_gradients(predictor, texts, steps=8):
        expected = plain_gradients(predictor, attribution.text, attribution.label, 8)
        assert sum(scores(attribution)) == pytest.approx(expected.sum(), abs=1e-3 * np.abs(expected).sum())
        first = len(predictor.tokenizer(words(attribution)[0], add_special_tokens=False)["input_ids"])
        assert scores(attribution)[0] == pytest.approx(expected[1 : 1 + first].sum(), abs=1e-3 * np.abs(expected).sum())


def test_more_steps_close_the_gap(predictors: dict[str, Predictor]) -> None:
    gaps = [
        abs(integrated_gradients(predictors["minilm"], TEXTS[:1], steps=steps)[0].convergence_gap or 0.0)
        for steps in (1, 256)
    ]
    assert gaps[1] < 0.05 * gaps[0]


def test_gradients_need_no_recording_and_leave_none(predictors: dict[str, Predictor]) -> None:
    predictor = predictors["minilm"]
    expected = integrated_gradients(predictor, TEXTS)
    with torch.inference_mode():
        assert integrated_gradients(predictor, TEXTS) == expected
    assert all(parameter.grad is None for parameter in predictor.torch_model.parameters())


def test_batches_change_nothing(predictors: dict[str, Predictor]) -> None:
    texts = [*TEXTS, *(f"{word} again and again" for word in ("sad", "happy", "fine"))]
    for explain in (occlusion, integrated_gradients):
        done: list[int] = []
        alone = explain(predictors["minilm"], texts, batch_size=1)
        together = explain(predictors["minilm"], texts, batch_size=32, advance=done.append)
        assert sum(done) == len(texts)
        for one, other in zip(alone, together, strict=True):
            assert (one.text, one.label) == (other.text, other.label)
            assert scores(one) == pytest.approx(scores(other), abs=1e-3)


def test_scripts_without_spaces_are_scored_by_character(predictors: dict[str, Predictor]) -> None:
    texts = ["我爱你, my love", "รักมาก", "ありがとう👨‍👩‍👧!"]
    expected = [["我", "爱", "你", ",", "my", "love"], ["รั", "ก", "ม", "า", "ก"], [*"ありがとう", "👨‍👩‍👧!"]]
    for explain in (occlusion, integrated_gradients):
        assert [words(attribution) for attribution in explain(predictors["minilm"], texts)] == expected


def test_what_the_model_does_not_read_is_not_scored(predictors: dict[str, Predictor]) -> None:
    for kind in KINDS:
        predictor = predictors[kind]
        for explain in (occlusion, integrated_gradients):
            (attribution,) = explain(predictor, ["a " * 200 + "surplus"])
            assert len(attribution.words) == predictor.max_length - 2, kind


def test_a_long_text_is_scored_in_128_groups(originals: dict[str, Path]) -> None:
    predictor = checkpoint.load(originals["modernbert"])
    predictor.max_length = 250
    text = "a " * 600
    for explain in (occlusion, integrated_gradients):
        (attribution,) = explain(predictor, [text])
        assert len(attribution.words) == 128
        assert (attribution.words[0].start, attribution.words[-1].end) == (0, 2 * 248 - 1)
        assert {len(group.split()) for group in words(attribution)} == {1, 2}


def test_another_class_may_be_explained(predictors: dict[str, Predictor]) -> None:
    predictor = predictors["minilm"]
    probability = predictor.predict_proba(TEXTS)
    for explain in (occlusion, integrated_gradients):
        found = explain(predictor, TEXTS, [5, 4, 3, 2, 1])
        assert [each.label for each in found] == [5, 4, 3, 2, 1]
        for place, each in enumerate(found):
            assert each.probability == pytest.approx(float(probability[place, each.label]), abs=1e-6)
        with pytest.raises(ValueError, match="must be one for each of 5 texts, found 1"):
            explain(predictor, TEXTS, [0])
        with pytest.raises(ValueError, match="must be from 0 to 5, found 6"):
            explain(predictor, TEXTS[:1], [6])
        with pytest.raises(TypeError, match="not one string"):
            explain(predictor, "one string")


def test_a_model_without_gradients_is_refused(minilm: Predictor) -> None:
    model = minilm.torch_model
    minilm.model = quantized(model, 6.0)
    with pytest.raises(
        UserError, match=r"^method: integrated_gradients needs .* found an INT8 model.*; use occlusion$"
    ):
        integrated_gradients(minilm, ["a"])
    assert len(occlusion(minilm, ["so sad"])[0].words) == 2
    minilm.model = OnnxClassifier(constant_logits(3, 6), model.config)  # the text, and it without each word
    with pytest.raises(UserError, match=r"^method: integrated_gradients needs .* ONNX Runtime.*; use occlusion$"):
        integrated_gradients(minilm, ["a"])
    assert scores(occlusion(minilm, ["so sad"])[0]) == [0, 0]


def test_half_precision_has_gradients_too(minilm: Predictor) -> None:
    expected = integrated_gradients(minilm, TEXTS)
    minilm.torch_model.bfloat16()
    for one, other in zip(
        integrated_gradients(minilm, TEXTS, [each.label for each in expected]), expected, strict=True
    ):
        assert scores(one) == pytest.approx(scores(other), abs=0.2 * max(map(abs, [1e-9, *scores(other)])))


def test_texts_without_finite_logits_are_named(minilm: Predictor) -> None:
    odd, plain = ({*row.tolist()} for row in minilm.encoder.encode(["zebra", "so sad"]))
    with torch.no_grad():
        minilm.torch_model.get_input_embeddings().weight[list(odd - plain)] = torch.nan
    with pytest.raises(NotFiniteError) as error:
        occlusion(minilm, ["so sad"] * 70 + ["so zebra"])
    assert error.value.places == [70]
