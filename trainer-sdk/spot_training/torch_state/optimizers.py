"""An optimizer's state with the dtypes that it had.

`Optimizer.load_state_dict` casts floating-point state to the dtype of its parameter, so float32
moments of bfloat16 parameters would lose half their bits. They are put back as they were.
Source: torch.optim.Optimizer._process_value_according_to_param_policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch


class OptimizerState:
    """State is keyed by the parameters' order in the groups, as torch does it."""

    borrows = False

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer

    def state_dict(self) -> Any:
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._optimizer.load_state_dict(state)
        if not _standard(state):
            return
        for index, parameter in zip(_indices(state), self._parameters(), strict=False):
            if index in state["state"] and parameter in self._optimizer.state:
                held = self._optimizer.state[parameter]
                self._optimizer.state[parameter] = _as_saved(held, state["state"][index])

    def mismatches(self, state: Mapping[str, Any]) -> Iterator[str]:
        """Why `state` does not fit; nothing if it does."""
        if not _standard(state):
            return
        there = [len(group["params"]) for group in state["param_groups"]]
        here = [len(group["params"]) for group in self._optimizer.param_groups]
        if there != here:
            yield f"its groups have {there} parameters there and {here} here"

    def _parameters(self) -> Iterator[Any]:
        for group in self._optimizer.param_groups:
            yield from group["params"]


def _standard(state: Any) -> bool:
    return isinstance(state, Mapping) and {"state", "param_groups"} <= set(state)


def _indices(state: Mapping[str, Any]) -> Iterator[Any]:
    for group in state["param_groups"]:
        yield from group["params"]


def _as_saved(held: Any, saved: Any) -> Any:
    """`held` with the dtypes of `saved`; the device stays where torch put it."""
    if isinstance(held, torch.Tensor) and isinstance(saved, torch.Tensor):
        return held if held.dtype == saved.dtype else saved.to(device=held.device)
    if isinstance(held, dict) and isinstance(saved, Mapping):
        return {
            key: _as_saved(item, saved[key]) if key in saved else item for key, item in held.items()
        }
    if type(held) in (list, tuple) and len(held) == len(saved):
        return type(held)(_as_saved(*pair) for pair in zip(held, saved, strict=True))
    return held
