"""How much is measured: in full, or quickly, to see that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes in MiB, and how often."""

    state: int
    many: int
    large: int
    """What is moved while the sidecar's memory is watched."""
    small: int
    """What is saved many times."""
    rounds: int
    few: int
    """Rounds of what is only reported, or takes long."""
    checkpoints: int


FULL = Plan(state=1024, many=320, large=4096, small=8, rounds=7, few=3, checkpoints=200)
QUICK = Plan(state=24, many=8, large=48, small=1, rounds=1, few=1, checkpoints=12)
