"""The state that every framework saves here: after step n, in a model and its optimizer."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np
import torch
from campaigns.trainer import after

SIZE = 10_000
NEWEST = 5
"""Steps 1 to this one are saved, each as a checkpoint."""


class Model(torch.nn.Module):
    """The two arrays of `campaigns.trainer`, as parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(SIZE, dtype=torch.float64))
        self.last = torch.nn.Parameter(torch.zeros(SIZE, dtype=torch.float64))

    def forward(self, x: Any) -> dict[str, Any]:
        return {"loss": (self.w.sum() + self.last.sum()) * x.sum()}


def optimizer_of(model: Any) -> Any:
    return torch.optim.SGD(model.parameters(), lr=1e-9, momentum=0.9)


def fill(model: Any, optimizer: Any, step: int) -> None:
    """What belongs to this step, whatever the framework has trained."""
    state, _ = after(SIZE, step)
    with torch.no_grad():
        for parameter, values in ((model.w, state.w), (model.last, state.last)):
            parameter.copy_(torch.from_numpy(values))
            optimizer.state[parameter]["momentum_buffer"] = 2 * parameter.detach().clone()


def expected(step: int) -> str:
    """The digest of this step's state."""
    state, _ = after(SIZE, step)
    return _digest([state.w, state.last, 2 * state.w, 2 * state.last])


def tell(model: Any, optimizer: Any, step: int) -> None:
    """Say what was loaded, and end."""
    moments = [optimizer.state[one].get("momentum_buffer") for one in (model.w, model.last)]
    arrays = [
        None if one is None else one.detach().numpy() for one in (model.w, model.last, *moments)
    ]
    sys.stdout.write(json.dumps({"step": step, "digest": _digest(arrays)}) + "\n")
    sys.stdout.flush()
    raise SystemExit(0)


def _digest(arrays: list[Any]) -> str:
    bodies = [b"none" if one is None else np.ascontiguousarray(one).tobytes() for one in arrays]
    return hashlib.sha256(b"".join(bodies)).hexdigest()


def main() -> None:
    """Say what belongs to each step; 0 is what there is before anything is loaded."""
    model = Model()
    moments = [
        optimizer_of(model).state[one].get("momentum_buffer") for one in (model.w, model.last)
    ]
    digests = {0: _digest([model.w.detach().numpy(), model.last.detach().numpy(), *moments])}
    digests |= {step: expected(step) for step in range(1, NEWEST + 1)}
    sys.stdout.write(json.dumps(digests) + "\n")
