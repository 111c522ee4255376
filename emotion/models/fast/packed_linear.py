"""Linear layers that predict with weights laid out once for the CPU's matrix kernels.

torch's own linear layer lays them out anew in each call, which takes most of its time when texts are few and short.
"""

import platform
from typing import Any

import torch
from torch import Tensor, nn

_HAS_KERNELS: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_PACKS = _HAS_KERNELS and platform.machine() in ("x86_64", "AMD64")


class PackedLinear(nn.Linear):
    """A linear layer that keeps a packed copy of its weights, once it predicted in FP32 on a CPU.

    A change of the weights makes a new copy, unless it is made in place through ``weight.data``, which leaves no trace.
    While gradients are recorded, on other devices, in other precisions and while being exported it is torch's own.
    The operators are those that ``torch.compile`` puts in the place of frozen linear layers.
    """

    _packed: tuple[Tensor, Tensor, int] | None = None
    """The copy, the weights that it is of, and their version."""

    def forward(self, input: Tensor) -> Tensor:
        plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
        if plain or input.device.type != "cpu" or not input.dtype == self.weight.dtype == torch.float32:
            self._packed = None  # an optimizer may follow, and fused ones do not count a version
            return super().forward(input)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(input, self._copy(), self.bias, "none", [], "")
        return output

    def _copy(self) -> Tensor:
        weight = self.weight.detach()
        version = 0 if weight.is_inference() else weight._version
        if self._packed is not None:
            copy, of, of_version = self._packed  # which is kept, so that no other weights can lie at its address
            if of.data_ptr() == weight.data_ptr() and of_version == version:
                return copy
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
        self._packed = packed, weight, version
        return packed

    def __getstate__(self) -> dict[str, Any]:
        """Without the packed copy, which can be neither copied nor saved."""
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}


def pack_linear_layers_(model: nn.Module) -> None:
    """Let each linear layer of ``model`` be a :class:`PackedLinear`, where this CPU has its kernels."""
    for module in model.modules():
        if _PACKS and type(module) is nn.Linear:
            module.__class__ = PackedLinear
