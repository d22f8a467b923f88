"""A tensor's order in memory is state: kernels and sums go by it.

The fused kernels of torch 2.15 for the CPU even take a moment for lying as its parameter does, so
that row-major moments of a `channels_last` parameter are mixed up without a word.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kit.moving import moved, of_extras, of_objects
from torch import nn

OPTIMIZERS = {
    "for each": lambda p: torch.optim.AdamW(p, lr=0.1),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True, amsgrad=True),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "factored": lambda p: torch.optim.Adafactor(p, lr=0.1),
}


def made(name: str) -> tuple[Any, Any]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    model = model.to(memory_format=torch.channels_last)
    return model, OPTIMIZERS[name](model.parameters())


def trained(model: Any, optimizer: Any) -> None:
    images = torch.linspace(-1, 1, 600).view(2, 3, 10, 10).to(memory_format=torch.channels_last)
    for _ in range(3):
        optimizer.zero_grad()
        model(images).pow(2).mean().backward()
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_lie_as_they_lay(name: str) -> None:
    (source, one), (target, other) = made(name), made(name)
    trained(source, one)
    assert moved(
        of_objects(model=source, optimizer=one), of_objects(model=target, optimizer=other)
    ) == []  # fmt: skip
    for held, expected in zip(other.state.values(), one.state.values(), strict=True):
        for key, value in expected.items():
            if isinstance(value, torch.Tensor):
                assert held[key].stride() == value.stride(), key
    trained(source, one)
    trained(target, other)
    for held, expected in zip(target.parameters(), source.parameters(), strict=True):
        assert torch.equal(held, expected)


ORDERS = {
    "channels last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "channels last in 3d": lambda: torch.randn(2, 3, 4, 5, 6).to(
        memory_format=torch.channels_last_3d
    ),
    "transposed": lambda: torch.randn(4, 6).t(),
    "permuted": lambda: torch.randn(2, 3, 4).permute(2, 0, 1),
    "row-major": lambda: torch.randn(2, 3),
    "a number": lambda: torch.tensor(1.0),
}


@pytest.mark.parametrize("name", ORDERS)
def test_a_new_tensor_lies_as_the_old_one_lay(name: str) -> None:
    value = ORDERS[name]()
    extras: dict[str, Any] = {}
    assert moved(of_extras({"t": value}), of_extras(extras)) == []
    assert torch.equal(extras["t"], value)
    assert extras["t"].stride() == value.stride()


def test_a_script_may_lay_its_model_out_otherwise() -> None:
    """A choice of the script's, and restored in place: the values are what is compared."""
    (source, _), (target, _) = made("for each"), made("for each")
    target = target.to(memory_format=torch.contiguous_format)
    assert moved(of_objects(model=source), of_objects(model=target)) == []
    assert target[0].weight.is_contiguous()
    assert torch.equal(target[0].weight, source[0].weight)
