"""Layers of tiny backbones."""

from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from emotion.data import TextEncoder
from emotion.models import Predictor
from emotion.models.fast import speed_up_
from support.files import sample_rows
from support.predictors import untrained

TEXTS = [text for text, _ in sample_rows("test", 12)]


LAYERS = 6


def lively(kind: str, folder: Path) -> Predictor:
    """A tiny checkpoint of six layers and four heads, with weights so large that each layer and head matters.

    ModernBERT's config is as on the hub: ``global_attn_every_n_layers`` rather than a list; its local
    attention covers fewer tokens than texts have.
    """
    checkpoint = untrained(kind, folder)
    settings = checkpoint.model.config.to_dict() | {"num_hidden_layers": LAYERS, "num_attention_heads": 4}
    if kind == "modernbert":
        settings |= {"layer_types": None, "global_attn_every_n_layers": 3, "local_attention": 4}
    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(**settings), attn_implementation="sdpa", dtype=torch.float32
    )
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    speed_up_(model)
    checkpoint.model = model.eval()
    return checkpoint


def layers_of(model: PreTrainedModel, kind: str) -> torch.nn.ModuleList:
    return model.model.layers if kind == "modernbert" else model.base_model.encoder.layer


@torch.inference_mode()
def logits(checkpoint: Predictor) -> Tensor:
    """(texts, 6) of one padded batch."""
    encoder = TextEncoder(checkpoint.tokenizer, checkpoint.normalization, checkpoint.max_length)
    return checkpoint.model(**encoder.pad(encoder.encode(TEXTS))).logits
