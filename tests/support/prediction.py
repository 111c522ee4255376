"""Checkpoints of tiny backbones, texts and configs for predicting CSVs."""

import csv
from pathlib import Path

import pytest
import torch

from emotion.checkpoint import save
from emotion.config import compose_config, resolve
from emotion.models import Predictor, find_backbone, load_pretrained, load_tokenizer
from emotion.prediction import PredictConfig
from support.files import sample_rows
from support.labels import EMOTION6
from support.predictors import KINDS, model_config

MAX_LENGTH = 24


ODD_TEXTS = [
    "",
    "   ",
    "None",
    "NA",
    "null",
    "a , b; c",
    'she said "no"',
    "two\nlines\r\nor three",
    "a lone\rCR",
    "@someone look http://example.org/page now 😂",
    "very " * 60 + "long",
    "\u00e9\u00e8 \u201cquoted\u201d \u65e5\u672c",
]


TEXTS = [text for text, _ in sample_rows("test", 60)] + ODD_TEXTS


@pytest.fixture(scope="module")
def weights(backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A portable checkpoint of each architecture; its head is balanced so that it predicts every class."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for kind in KINDS:
        config = model_config(kind, backbones[kind])
        backbone = find_backbone(config)
        torch.manual_seed(1)
        model = load_pretrained(backbone, EMOTION6)
        tokenizer = load_tokenizer(backbone.folder, config.normalization)
        head = next(module for module in reversed(list(model.modules())) if isinstance(module, torch.nn.Linear))
        with torch.inference_mode():
            inputs = tokenizer(TEXTS[:40], padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
            logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
            scale = 1 / logits.std(0)
            head.weight.mul_(scale[:, None])
            head.bias.copy_((head.bias - logits.mean(0)) * scale)
        paths[kind] = folder / f"best_{config.name}.pt"
        save(Predictor.of_backbone(backbone, config, model, tokenizer, EMOTION6, MAX_LENGTH), paths[kind])
    return paths


def predict_config(**values: object) -> PredictConfig:
    """What ``scripts/predict.py`` makes of the same options."""
    config = compose_config("predict", [])
    for key, value in values.items():
        config[key] = str(value) if isinstance(value, Path) else value
    return resolve(config, PredictConfig)


def read_rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
