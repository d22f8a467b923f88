"""Page-locks an arena's memory, so that copies from a GPU run at the bus's speed.

A registration outlives the mapping that it was made for unless it is taken back first, and a copy
into what was mapped there later would go astray: so only memory of which we are told before it
is unmapped is pinned. Source: the CUDA runtime's cudaHostRegister and cudaHostUnregister.
Needs a GPU to be tested; without one nothing here runs.
"""

from __future__ import annotations

from typing import Any

import torch

from spot_training.checkpoint import arena
from spot_training.exits import tell

_registered: dict[int, int] = {}


def pinned(address: int, size: int) -> bool:
    """Whether the memory is page-locked now; copies are right without it, only slower."""
    begin, length = arena.mapping_around(address, size)
    if not length:
        return False
    if begin not in _registered:
        _registered[begin] = _call("cudaHostRegister", begin, length, 0)
        arena.before_unmapping(begin, _release)
    return _registered[begin] == 0


def _release(address: int) -> None:
    if _registered.pop(address) == 0:
        _call("cudaHostUnregister", address)


def _call(name: str, *arguments: int) -> int:
    runtime: Any = torch.cuda.cudart()
    code = int(getattr(runtime, name)(*arguments))
    if code:
        tell(f"{name} answered {code}: snapshots from the GPU take longer")
    return code
