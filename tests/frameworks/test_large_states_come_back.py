"""What several threads fill comes back as what one had filled."""

from __future__ import annotations

from typing import Any

import spot_training.torch_state  # noqa: F401 - announces its tensors
import torch
from spot_training.checkpoint import codec, layout
from spot_training.checkpoint.tensors import order_of

MIB = 1 << 20


def test_large_and_small_tensors_of_any_order_come_back_and_ties_stay() -> None:
    generator = torch.Generator().manual_seed(3)
    large = [torch.empty(6 * MIB // 4).normal_(generator=generator) for _ in range(9)]
    turned = torch.empty(2048, 3000).normal_(generator=generator).t()
    small = [torch.full((), float(n)) for n in range(200)]
    state = {"large": large, "turned": turned, "small": small, "tied": large[4]}

    back = came_back(state)

    assert all(map(torch.equal, back["large"], large))
    assert torch.equal(back["turned"], turned)
    assert back["turned"].stride() == turned.stride()
    assert [value.item() for value in back["small"]] == [float(n) for n in range(200)]
    assert back["tied"] is back["large"][4]


def came_back(state: Any) -> Any:
    """Written, read, and in memory of its own: what was read is gone."""
    arrays: dict[str, Any] = {}
    plain = codec.to_plain(state, arrays=arrays)
    orders = {name: order for name, value in arrays.items() if (order := order_of(value))}
    planned = layout.plan(
        {name: layout.spec_of(value) for name, value in arrays.items()}, state_bytes=0
    )
    payload = bytearray(planned.size)
    planned.write(memoryview(payload), arrays, b"")
    back = codec.from_plain(plain, planned.views(memoryview(payload)), orders=orders)
    payload[:] = bytes(len(payload))
    return back
