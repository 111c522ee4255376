"""Predict with linear layers whose weights are laid out once for the CPU's matrix kernels.

torch's own linear layer lays them out again in each call, which takes most of its time when texts are few and short.
"""

import platform
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from emotion.errors import first_line
from emotion.models.fast.guard import stays_plain


class PackedLinear(nn.Linear):
    """A linear layer that keeps a packed copy of its weights, once it has predicted in FP32 on a CPU.

    A change of the weights makes a new copy, unless it is made in place through ``weight.data``, which leaves no trace.
    While gradients are recorded, on other devices, in other precisions and while being exported, it is torch's own.
    The operators are those with which ``torch.compile`` replaces frozen linear layers.
    """

    _packed: tuple[Tensor, Tensor, int] | None = None
    """The copy, the weights that it was made from, and their version."""

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
        kept = self._packed  # another thread may replace it meanwhile
        if kept is not None:
            copy, of, of_version = kept  # the weights are kept, so that no other weights can take its address
            if of.data_ptr() == weight.data_ptr() and of_version == version:
                return copy
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
        self._packed = packed, weight, version
        return packed

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the packed copy, which can be neither copied nor saved."""
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}


def available(operators: Any = torch.ops.mkldnn) -> bool:
    """Return whether this processor has the kernels, and torch's private operators for them compute a linear layer.

    Args:
        operators: Namespace of the operators.
    """
    has_kernels: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not has_kernels or platform.machine() not in ("x86_64", "AMD64"):
        return False
    weight, bias = torch.linspace(-1, 1, 32).view(4, 8), torch.linspace(0, 1, 4)
    values = torch.linspace(-2, 1, 24).view(3, 8)
    try:
        with torch.no_grad():
            _ = weight._version  # by which PackedLinear notices changed weights
            packed = operators._reorder_linear_weight(weight)
            found = operators._linear_pointwise(values, packed, bias, "none", [], "")
    except Exception as error:  # an operator is gone, or takes other arguments
        stays_plain("linear layers", f"torch's operators for packed weights fail ({first_line(error)})")
        return False
    if not torch.allclose(found, linear(values, weight, bias), rtol=1e-4, atol=1e-5):
        stays_plain("linear layers", "torch's operators for packed weights compute something else")
        return False
    return True


def pack_linear_layers_(model: nn.Module, operators: Any = torch.ops.mkldnn) -> None:
    """Turn each linear layer of ``model`` into a :class:`PackedLinear`, if that is :func:`available`."""
    plain = [module for module in model.modules() if type(module) is nn.Linear]
    if plain and available(operators):
        for module in plain:
            module.__class__ = PackedLinear
