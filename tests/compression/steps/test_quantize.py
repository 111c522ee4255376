"""INT8 and half precision: what each tensor becomes, and that a file gives back the model that was saved."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from emotion import checkpoint
from emotion.checkpoint import save
from emotion.compression.sources import load_original
from emotion.compression.steps.half import half_
from emotion.compression.steps.prune import prune_
from emotion.compression.steps.quantize import quantize
from emotion.compression.steps.registry import HalfConfig, PruneConfig, QuantizeConfig
from emotion.errors import UserError
from emotion.models import Predictor
from support.files import TEXTS
from support.heads import TENSORS
from support.predictors import KINDS

pytestmark = pytest.mark.usefixtures("one_thread")


def weights_of(loaded: Predictor) -> dict[str, Tensor]:
    """A copy of parameters and buffers, by name."""
    return {name: value.clone() for name, value in loaded.model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


def matrices(kind: str, original: Predictor) -> set[str]:
    """The weights of the encoder's linear layers, by name."""
    named = original.model.named_modules()
    return {f"{name}.weight" for name, module in named if isinstance(module, nn.Linear)} - set(TENSORS[kind])


def saved_and_loaded(made: Predictor, path: Path) -> Predictor:
    save(made, path)
    return checkpoint.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_an_int8_file_holds_the_fine_tuned_head_bit_for_bit(
    kind: str, originals: dict[str, Path], tmp_path: Path
) -> None:
    original = checkpoint.load(originals[kind])
    before = weights_of(original)
    loaded = saved_and_loaded(quantize(original, QuantizeConfig(threshold=6.0)), tmp_path / "int8.pt")
    assert same(weights_of(original), before), "the original is left as it is"
    for name in TENSORS[kind]:
        parameter = loaded.model.get_parameter(name)
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, before[name])
        assert not torch.equal(before[name], before[name].half().float()), "rounding must change the weights"


@pytest.mark.parametrize("kind", KINDS)
def test_the_linear_layers_are_int8_by_row_and_the_rest_fp16(
    kind: str, originals: dict[str, Path], tmp_path: Path
) -> None:
    original = checkpoint.load(originals[kind])
    loaded = saved_and_loaded(quantize(original, QuantizeConfig(threshold=6.0)), tmp_path / "int8.pt")
    assert loaded.precision == "int8"
    expected, found = weights_of(original), weights_of(loaded)
    steps = 0
    for name in matrices(kind, original):
        weight = expected[name].half().float()
        largest = weight.abs().amax(dim=1)
        reference = torch.round(weight / largest[:, None] * 127)
        assert found[name].dtype == torch.int8
        assert torch.allclose(found[name.replace(".weight", ".SCB")], largest)
        difference = (found[name] - reference).abs()
        assert difference.max() <= 1
        steps += int(difference.sum())
    assert steps <= 0.01 * sum(expected[name].numel() for name in matrices(kind, original))
    rest = expected.keys() - matrices(kind, original) - set(TENSORS[kind])
    assert rest, "embeddings and norms"
    for name in rest:
        assert found[name].dtype == torch.float16
        assert torch.equal(found[name], expected[name].half())


@pytest.mark.parametrize("kind", KINDS)
def test_an_int8_file_predicts_as_before_saving_and_nearly_as_fp32_does(
    kind: str, originals: dict[str, Path], tmp_path: Path
) -> None:
    original = checkpoint.load(originals[kind])
    made = quantize(original, QuantizeConfig(threshold=6.0))
    loaded = saved_and_loaded(made, tmp_path / "int8.pt")
    probabilities = loaded.predict_proba(TEXTS)
    assert torch.equal(probabilities, made.predict_proba(TEXTS))
    assert not any(module.training for module in loaded.model.modules())

    again = saved_and_loaded(loaded, tmp_path / "again.pt")  # after predicting: nothing was lost or cast on the way
    assert same(weights_of(again), weights_of(loaded))
    assert torch.equal(again.predict_proba(TEXTS), probabilities)
    assert again.model.config.to_dict() == loaded.model.config.to_dict()
    assert (again.tokenizer_files, again.metadata) == (original.tokenizer_files, original.metadata)

    expected = original.predict_proba(TEXTS)
    assert not torch.equal(probabilities, expected)
    difference = (probabilities - expected).abs()
    assert difference.mean() < 0.03
    assert torch.corrcoef(torch.stack([probabilities.flatten(), expected.flatten()]))[0, 1] > 0.98
    labels, expected_labels = probabilities.argmax(-1), expected.argmax(-1)
    assert len(set(expected_labels.tolist())) > 3, "the labels must differ, or any bug would pass"
    assert (labels == expected_labels).float().mean() > 0.75


def test_an_int8_file_is_half_the_size_or_less(originals: dict[str, Path], tmp_path: Path) -> None:
    """One byte per weight of the linear layers and two per weight of the embeddings, in place of four."""
    original = checkpoint.load(originals["bertweet"])
    path = tmp_path / "int8.pt"
    save(quantize(original, QuantizeConfig(threshold=6.0)), path)
    linear = sum(original.model.get_parameter(name).numel() for name in matrices("bertweet", original))
    head = sum(original.model.get_parameter(name).numel() for name in TENSORS["bertweet"])
    rest = sum(parameter.numel() for parameter in original.model.parameters()) - linear - head
    saved = originals["bertweet"].stat().st_size - path.stat().st_size
    records = 1000 * len(matrices("bertweet", original))  # scales and formats
    assert 3 * linear + 2 * rest - records < saved < 3 * linear + 2 * rest


def test_the_threshold_is_used_and_kept_in_the_file(originals: dict[str, Path], tmp_path: Path) -> None:
    def thresholds(value: float) -> set[float]:
        made = quantize(checkpoint.load(originals["minilm"]), QuantizeConfig(threshold=value))
        model = saved_and_loaded(made, tmp_path / f"{value}.pt").model
        return {module.state.threshold for module in model.modules() if hasattr(module, "state")}

    assert thresholds(0.0) == {0.0}
    assert thresholds(4.5) == {4.5}


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_of_a_pruned_model_stay_zeros_in_int8(kind: str, originals: dict[str, Path], tmp_path: Path) -> None:
    original = checkpoint.load(originals[kind])
    prune_(original.model, PruneConfig(amount=0.3, scope="layer", include_head=False))
    loaded = saved_and_loaded(quantize(original, QuantizeConfig(threshold=6.0)), tmp_path / "int8.pt")
    found = weights_of(loaded)
    for name in matrices(kind, original):
        zeros = original.model.get_parameter(name) == 0
        assert zeros.float().mean() == pytest.approx(0.3, abs=1e-3)
        assert found[name].dtype == torch.int8
        assert not found[name][zeros].any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_half_casts_all_but_the_head(kind: str, dtype: str, originals: dict[str, Path], tmp_path: Path) -> None:
    original, made = checkpoint.load(originals[kind]), checkpoint.load(originals[kind])
    half_(made.model, HalfConfig(dtype=dtype))
    loaded = saved_and_loaded(made, tmp_path / "half.pt")
    assert loaded.precision == dtype
    expected = {
        name: value if name in TENSORS[kind] else value.to(getattr(torch, dtype))
        for name, value in weights_of(original).items()
    }
    assert same(weights_of(loaded), expected)
    probabilities = loaded.predict_proba(TEXTS)
    assert torch.equal(probabilities, made.predict_proba(TEXTS))
    assert torch.allclose(probabilities, original.predict_proba(TEXTS), atol={"float16": 0.03, "bfloat16": 0.2}[dtype])
    again = saved_and_loaded(loaded, tmp_path / "again.pt")
    assert same(weights_of(again), expected)
    assert torch.equal(again.predict_proba(TEXTS), probabilities)


@pytest.mark.parametrize("precision", ["int8", "float16", "bfloat16"])
def test_a_compressed_model_is_not_compressed_again(precision: str, originals: dict[str, Path], tmp_path: Path) -> None:
    made, path = checkpoint.load(originals["cardiff"]), tmp_path / "small.pt"
    if precision == "int8":
        made = quantize(made, QuantizeConfig(threshold=6.0))
    else:
        half_(made.model, HalfConfig(dtype=precision))
    save(made, path)
    with pytest.raises(UserError, match=r"^weights: must be a fine-tuned FP32 checkpoint, found .* in ") as caught:
        load_original(path, torch.device("cpu"))
    assert str(caught.value).endswith(f"{path} in {precision}")
    assert load_original(originals["cardiff"], torch.device("cpu")).precision == "float32"


@pytest.mark.parametrize(
    "settings", [{"quant_method": "gptq", "bits": 4}, {"quant_method": "bitsandbytes", "load_in_4bit": True}]
)
def test_another_quantisation_is_refused_in_one_line(
    settings: dict[str, object], originals: dict[str, Path], tmp_path: Path
) -> None:
    content = torch.load(originals["minilm"], weights_only=True)
    content["backbone_config"]["quantization_config"] = settings
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(UserError, match="weights: quantization_config must be of bitsandbytes INT8") as caught:
        checkpoint.load(tmp_path / "other.pt")
    assert "\n" not in str(caught.value)
