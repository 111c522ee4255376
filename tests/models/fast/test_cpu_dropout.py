"""Dropout on a CPU: its rate and scale, gradients only for what is kept, and the same draws from the same seed."""

import pytest
import torch
from torch import nn

from emotion.models.fast.cpu_dropout import CpuDropout, draw_dropout_faster_


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_and_the_scale_are_those_of_dropout(rate: float) -> None:
    torch.manual_seed(0)
    ones = torch.ones(400, 501, requires_grad=True)  # not a multiple of four
    dropped = CpuDropout(rate)(ones)
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(rate, abs=5 * (rate * (1 - rate) / ones.numel()) ** 0.5)  # five standard errors
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=1e-4, atol=0)
    dropped.sum().backward()
    assert torch.equal(ones.grad, dropped)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    zeros = CpuDropout(0.5)(torch.ones(200_000)) == 0
    for distance in (1, 2, 3, 4, 8):
        both = (zeros[distance:] & zeros[:-distance]).double().mean().item()
        assert both == pytest.approx(0.25, abs=0.006)


def test_a_seed_repeats_the_draws_and_evaluation_drops_nothing() -> None:
    layer, values = CpuDropout(0.3), torch.randn(50, 7)
    torch.manual_seed(1)
    first = layer(values)
    assert not torch.equal(layer(values), first)
    torch.manual_seed(1)
    assert torch.equal(layer(values), first)
    assert torch.equal(layer.eval()(values), values)
    assert torch.equal(CpuDropout(0.0)(values), values)


def test_only_dropout_layers_are_replaced() -> None:
    model = nn.Sequential(nn.Dropout(0.2), nn.Linear(3, 3), nn.Sequential(nn.Dropout(0.4)), nn.Dropout1d(0.1))
    draw_dropout_faster_(model)
    assert [type(module) for module in model] == [CpuDropout, nn.Linear, nn.Sequential, nn.Dropout1d]
    assert [module.p for module in model.modules() if isinstance(module, CpuDropout)] == [0.2, 0.4]
