"""Write a fine-tuned model as a folder that transformers loads by itself, with its model card."""

import logging
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from emotion.article.config import ExportConfig
from emotion.article.hub_tokenizer import hub_tokenizer_files
from emotion.article.model_card import model_card
from emotion.article.output_folder import replaced_folder
from emotion.checkpoint import load
from emotion.data import sample_texts
from emotion.errors import UserError, first_line
from emotion.files import sha256
from emotion.isolation import isolated
from emotion.models import (
    Predictor,
    StaticConfig,
    head_modules,
    loading_alone,
    quiet_transformers,
    shape_differences,
)

log = logging.getLogger(__name__)

TOLERANCE = 1e-5
"""Largest difference of a probability between the folder's model and the checkpoint's."""
_ODD_TEXTS = ["", "  two  spaces ", "@you see http://example.com/a 🙂 don\u2019t", "@a\n@b https://c.d", "long " * 600]


@isolated()
def export(config: ExportConfig) -> Path:
    """Write the folder, after transformers has loaded it and predicted as the checkpoint does.

    It holds ``config.json``, ``model.safetensors`` in FP32, the tokenizer's files and the model card, ``README.md``.
    The temperature is a part of the last layer's weights, so that ``transformers.pipeline`` gives calibrated
    probabilities.

    Returns:
        The folder.

    Raises:
        UserError: The checkpoint cannot be read, transformers cannot express its model or does not predict alike, or
            the folder is not ours to replace.
    """
    weights, output = Path(config.weights), Path(config.output)
    if weights.suffix == ".onnx":
        raise UserError(f"weights: must be a .pt checkpoint, found {weights}; give the .pt that it was made from")
    with replaced_folder(output, "output") as folder:
        predictor = load(weights, fast=False)
        _require_expressible(predictor)
        card = model_card(predictor, sha256(weights), exported=True)
        if predictor.precision != "float32":
            log.info("%s: is written in FP32, as its head is: twice the size, the same weights", weights)
        _write(predictor, folder, card)
    return output


def _require_expressible(predictor: Predictor) -> None:
    """Refuse what transformers' configs cannot say. Raises :class:`UserError`."""
    config = predictor.torch_model.config
    if predictor.precision == "int8":
        raise UserError(
            "weights: must be in FP32 or half precision, found INT8 by bitsandbytes, whose FP32 head transformers would"
            " not restore; give the .pt that it was made from"
        )
    if config.model_type == StaticConfig.model_type:
        raise UserError("weights: must be of an architecture that transformers has, found a static classifier")
    if found := shape_differences(config):
        raise UserError(
            f"weights: must be of a shape that transformers has models of, found {' and '.join(found)}; give the .pt"
            " that it was made from"
        )


def _write(predictor: Predictor, folder: Path, card: str) -> None:
    """Write the folder's files from ``predictor``, which is changed.

    Raises:
        UserError: transformers cannot load the folder, or does not predict alike.
    """
    model = predictor.torch_model.float()  # type: ignore[no-untyped-call]
    texts = [*sample_texts()[:12], *_ODD_TEXTS]
    predictor.familiarity = None  # transformers has no place for it
    expected = predictor.predict_proba(texts, batch_size=1)
    _fold_temperature_(model, predictor.temperature)
    names = predictor.labels.names
    model.config.update(
        {
            "id2label": dict(enumerate(names)),
            "label2id": {name: index for index, name in enumerate(names)},
            "problem_type": "single_label_classification",
            "dtype": "float32",
        }
    )
    with quiet_transformers():
        model.save_pretrained(folder, max_shard_size="1TB")
    # safetensors lets only the owner read its file; whoever may read the folder needs the weights.
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)
    for name, data in hub_tokenizer_files(predictor).items():
        (folder / name).write_bytes(data)
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    _require_agreement(folder, predictor, texts, expected)


def _fold_temperature_(model: PreTrainedModel, temperature: float) -> None:
    """Divide the layer that gives the logits by the temperature.

    Raises:
        UserError: There is no such linear layer at the end of the head.
    """
    if temperature == 1:
        return
    parts = [module for name in head_modules(model) for module in model.get_submodule(name).modules()]
    layers = [each for each in parts if isinstance(each, nn.Linear) and each.out_features == model.config.num_labels]
    if not layers:
        raise UserError(
            "weights: must have a head that ends in a linear layer, to hold the temperature, found a"
            f" {type(model).__name__}"
        )
    with torch.no_grad():
        for parameter in layers[-1].parameters():
            parameter.div_(temperature)


@torch.inference_mode()
def _require_agreement(folder: Path, predictor: Predictor, texts: list[str], expected: Tensor) -> None:
    """Load the folder as others will, and compare its token ids and probabilities.

    Args:
        folder: The folder, complete.
        predictor: The predictor that was written.
        texts: Any texts.
        expected: (texts, classes), the predictor's probabilities.

    Raises:
        UserError: They differ, or transformers cannot load the folder.
    """
    try:
        with loading_alone(), quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            model = AutoModelForSequenceClassification.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            ).eval()
    except Exception as error:  # transformers fails in many ways
        raise UserError(f"weights: must be a model that transformers loads, found {first_line(error)}") from error
    if model.config.id2label != dict(enumerate(predictor.labels.names)):
        raise UserError(f"weights: must have labels that transformers keeps, found {list(predictor.labels.names)}")
    for text, row, ids in zip(texts, expected, predictor.encoder.encode(texts), strict=True):
        inputs = tokenizer(text, truncation=True, return_tensors="pt")
        if inputs["input_ids"][0].tolist() != ids.tolist():
            raise UserError(
                f"weights: must have a tokenizer that transformers restores, found other tokens for {text[:60]!r}"
            )
        difference = (model(**inputs).logits[0].softmax(-1) - row).abs().max().item()
        if not difference <= TOLERANCE:
            raise UserError(
                f"weights: must predict alike in transformers, found probabilities {difference:.1e} apart for"
                f" {text[:60]!r}"
            )
