"""torch.distributed.checkpoint: a folder a step; the newest that has `.metadata` is taken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from campaigns.corruption.frameworks import states
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict


def save() -> None:
    """`folder`: save every step."""
    model = states.Model()
    optimizer = states.optimizer_of(model)
    for step in range(1, states.NEWEST + 1):
        states.fill(model, optimizer, step)
        checkpoint.save(
            _state(model, optimizer, step), checkpoint_id=Path(sys.argv[1]) / f"step-{step}"
        )


def load() -> None:
    """`folder`: load the newest."""
    model = states.Model()
    optimizer = states.optimizer_of(model)
    whole = [path.parent for path in Path(sys.argv[1]).glob("step-*/.metadata")]
    if not whole:
        states.tell(model, optimizer, 0)
    state = _state(model, optimizer, 0)
    checkpoint.load(state, checkpoint_id=max(whole, key=lambda path: int(path.name[5:])))
    set_state_dict(
        model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optim"]
    )
    states.tell(model, optimizer, state["step"])


def _state(model: Any, optimizer: Any, step: int) -> dict[str, Any]:
    weights, moments = get_state_dict(model, optimizer)
    return {"model": weights, "optim": moments, "step": step}
