"""Interleaving: every round measures everything once, in an order drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from benchmarks.kit.quiet import Gate


def interleaved(
    names: Sequence[str], rounds: int, *, seed: int, gate: Gate, first: Sequence[str] = ()
) -> Iterator[tuple[int, str]]:
    """(round, name): `first` at the head of each round, the rest shuffled; each behind the gate."""
    draw = random.Random(seed)
    for number in range(rounds):
        shuffled = [name for name in names if name not in first]
        draw.shuffle(shuffled)
        for name in (*first, *shuffled):
            gate.wait()
            yield number, name
