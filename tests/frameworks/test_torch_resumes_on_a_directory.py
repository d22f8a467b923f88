"""`resume` itself, with torch state, on a real lineage in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import spot_training as spot
import torch


def begun(directory: Path, model: Any = None, optimizer: Any = None) -> tuple[Any, Any, Any]:
    model = model or torch.nn.Linear(300, 200).bfloat16()
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=0.1)
    run = spot.resume(model=model, optimizer=optimizer, directory=directory, interval=1000)
    return run, model, optimizer


def step(model: Any, optimizer: Any) -> None:
    optimizer.zero_grad()
    model(torch.ones(4, 300, dtype=torch.bfloat16)).float().pow(2).mean().backward()
    optimizer.step()


def test_a_checkpoint_holds_what_was_true_at_its_step(tmp_path: Path) -> None:
    """What training does while the upload is under way stays out of it."""
    run, model, optimizer = begun(tmp_path)
    step(model, optimizer)
    run.step()
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    assert run.save()
    for _ in range(5):
        step(model, optimizer)
    assert run._ticket.wait(30)
    run._backend.close()
    other, resumed, _ = begun(tmp_path)
    assert other.current_step == 1
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected[name])
    step(resumed, _)
    other._backend.close()


class Rounding(torch.optim.AdamW):
    """Loses bits while it loads."""

    def load_state_dict(self, state_dict: Any) -> None:
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state["exp_avg"] += 1


def test_a_tensor_that_loading_changed_is_named(tmp_path: Path) -> None:
    run, model, optimizer = begun(tmp_path)
    step(model, optimizer)
    run.step()
    run.save()
    assert run._ticket.wait(30)
    run._backend.close()
    with pytest.raises(spot.StateDiffers, match="optimizer/state/0/exp_avg"):
        begun(tmp_path, model, Rounding(model.parameters(), lr=0.1))
