"""A `torch.Generator` as state."""

from __future__ import annotations

from typing import Any

from spot_training.torch_state.randomness import from_bytes, to_bytes


class GeneratorState:
    """Goes on with the very next draw."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def state_dict(self) -> Any:
        return to_bytes(self._generator.get_state())

    def load_state_dict(self, state: Any) -> None:
        self._generator.set_state(from_bytes(state))
