"""Plain models and inputs to compare sped-up ones with."""

from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel


def plain(folder: Path, attention: str = "sdpa") -> PreTrainedModel:
    """A tiny model as transformers makes it, with weights large enough to matter."""
    torch.manual_seed(4)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=6, dtype=torch.float32, attn_implementation=attention
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def inputs(rows: int = 5, tokens: int = 9, padded: bool = True) -> dict[str, Tensor]:
    ids = torch.randint(5, 60, (rows, tokens), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        for row in range(rows):
            ids[row, tokens - row :] = 1
            mask[row, tokens - row :] = 0
    return {"input_ids": ids, "attention_mask": mask}
