"""Models and optimizers of a wanted size; the moments exist, the gradients do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

MIB = 1 << 20
LAYERS = 24
COPIES = 3
"""Of each weight: itself and AdamW's two moments."""
SMALL = 16384
"""Elements of a small tensor: 64 KiB."""


def transformer(mib: int) -> list[tuple[int, ...]]:
    """24 layers of 12 tensors: with the moments 864."""
    width = 8 * max(1, round(math.sqrt(mib * MIB / (COPIES * 4 * 12 * LAYERS)) / 8))
    layer = [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)]
    around = [(3 * width,), (width,), (4 * width,), *((width,) for _ in range(5))]
    return [*layer, *around] * LAYERS


def many(mib: int) -> list[tuple[int, ...]]:
    """Thousands of small tensors."""
    return [(SMALL,)] * max(1, mib * MIB // (COPIES * 4 * SMALL))


def huge(mib: int) -> list[tuple[int, ...]]:
    """One tensor (and its moments)."""
    return [(max(1, mib * MIB // (COPIES * 4)),)]


KINDS: dict[str, Callable[[int], list[tuple[int, ...]]]] = {
    "transformer": transformer,
    "many": many,
    "huge": huge,
}


def build(kind: str, mib: int, *, moments: bool = True) -> tuple[Any, Any]:
    """A model of this kind whose whole state takes about `mib`, and its optimizer."""
    generator = torch.Generator().manual_seed(17)
    tensors = [torch.empty(shape).normal_(generator=generator) for shape in KINDS[kind](mib)]
    model = torch.nn.ParameterList(torch.nn.Parameter(tensor) for tensor in tensors)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    if moments:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 0.01)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model, optimizer


def tensors_of(model: Any, optimizer: Any) -> Iterator[Any]:
    """Every tensor of the state."""
    yield from model.state_dict().values()
    for held in optimizer.state_dict()["state"].values():
        yield from (value for value in held.values() if isinstance(value, torch.Tensor))
