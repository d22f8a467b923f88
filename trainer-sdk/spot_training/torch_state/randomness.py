"""Torch's global generators: the CPU's and, once CUDA is in use, every device's."""

from __future__ import annotations

from typing import Any

import torch


def capture() -> dict[str, Any]:
    """The states as bytes; devices in their order. Does not wake CUDA where it sleeps."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"cpu": to_bytes(torch.get_rng_state()), "cuda": [to_bytes(state) for state in devices]}


def restore(states: dict[str, Any]) -> None:
    """Puts them back, as far as this machine has the devices."""
    torch.set_rng_state(from_bytes(states["cpu"]))
    here = torch.cuda.device_count() if states["cuda"] else 0
    for device, state in enumerate(states["cuda"][:here]):
        torch.cuda.set_rng_state(from_bytes(state), device)


def seed(value: int) -> None:
    """Seeds all of them."""
    torch.manual_seed(value)


def to_bytes(state: Any) -> bytes:
    """A generator's state, which torch keeps in a tensor."""
    return bytes(state.numpy())


def from_bytes(state: bytes) -> Any:
    """The tensor again."""
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)
