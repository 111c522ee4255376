"""Store embeddings in INT8 or INT4: a quarter or an eighth of the size, and nearly exact.

INT4 takes no operators but ONNX' plain ones, so that it runs wherever the rest does. Its grid is that of Q4_0 in
llama.cpp: the largest number of a block, of either sign, is -8 steps.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from transformers import PreTrainedModel

from emotion.models import token_table

BLOCK = 128
"""Most numbers of an INT4 row that share a scale."""
_SMALLEST = torch.finfo(torch.float32).tiny


class Int8Embedding(nn.Module):
    """The embedding ``original``, rounded to 127 steps between 0 and a row's largest value, of either sign."""

    weight: Tensor
    """(rows, width), int8."""
    scale: Tensor
    """(rows, 1), float32."""

    def __init__(self, original: nn.Embedding) -> None:
        super().__init__()
        weight = original.weight.detach()
        scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=_SMALLEST) / 127
        self.register_buffer("weight", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, indices: Tensor) -> Tensor:
        """Return (..., width), float32, for indices (...), int64."""
        return embedding(indices, self.weight).float() * embedding(indices, self.scale)


class Int4Embedding(nn.Module):
    """The embedding ``original``, of an even width, rounded to 16 steps in each block of a row."""

    pairs: Tensor
    """(rows, width / 2), uint8: two numbers a byte, the first in the upper half."""
    scale: Tensor
    """(rows, blocks), float32."""
    numbers: Tensor
    """(256, 2), float32: the two whole numbers, from -8 to 7, of each byte."""

    def __init__(self, original: nn.Embedding) -> None:
        super().__init__()
        weight = original.weight.detach()
        rows, width = weight.shape
        blocks = weight.view(rows, -1, _block(width))
        largest = blocks.gather(2, blocks.abs().argmax(dim=2, keepdim=True))
        scale = torch.where(largest.abs() < _SMALLEST, 1.0, largest / -8)
        steps = ((blocks / scale).round().clamp(-8, 7) + 8).to(torch.uint8).view(rows, width)
        self.register_buffer("pairs", steps[:, ::2] * 16 + steps[:, 1::2])
        self.register_buffer("scale", scale.squeeze(2))
        bytes_ = torch.arange(256, device=weight.device)
        self.register_buffer("numbers", torch.stack([bytes_ // 16, bytes_ % 16], dim=1).float() - 8)

    def forward(self, indices: Tensor) -> Tensor:
        """Return (..., width), float32, for indices (...), int64."""
        scale = embedding(indices, self.scale)
        blocks = embedding(embedding(indices, self.pairs).long(), self.numbers).view(*scale.shape, -1)
        return (blocks * scale[..., None]).flatten(-2)


def _block(width: int) -> int:
    """Return how many numbers of a row share a scale: at most :data:`BLOCK`, unless that gives tiny blocks."""
    shared = math.gcd(width, BLOCK)
    return shared if shared >= BLOCK // 8 else width


def quantize_embeddings_(model: PreTrainedModel, token_bits: int) -> None:
    """Replace all embeddings of ``model`` by INT8 ones.

    Args:
        model: In FP32.
        token_bits: Of the tokens' embeddings: 8, or 4, which an odd width does not take and stays with 8.
    """
    tokens = token_table(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Embedding):
            is_small = module is tokens and token_bits == 4 and module.embedding_dim % 2 == 0
            model.set_submodule(name, Int4Embedding(module) if is_small else Int8Embedding(module))
