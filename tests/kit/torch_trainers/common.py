"""What the trainings of all frameworks have in common."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SAMPLES, BATCH, EPOCHS = 38, 4, 3
EPOCH_STEPS = -(-SAMPLES // BATCH)

State = dict[str, Any]


class Cut(Exception):  # noqa: N818 - an event, no error
    """The training was interrupted: nothing that it held is used again."""


def wait_until_committed(survival: Any) -> None:
    """The last snapshot has become a checkpoint."""
    ticket = survival._run._ticket
    assert ticket is not None
    assert ticket.wait(30)
    assert ticket.committed


def cut(survival: Any) -> None:
    """Ends as a lost node would, once the last snapshot is a checkpoint."""
    wait_until_committed(survival)
    survival._run._backend.close()
    torch.manual_seed(99)
    raise Cut


def state_of(model: Any, optimizer: Any) -> State:
    """Copies of every tensor that training changes."""
    found = {f"model/{name}": value for name, value in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        found |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
    return {name: torch.as_tensor(value).clone() for name, value in found.items()}


def expect_same_bits(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def step_done(step: int, *, pause: float, warn_after: int | None) -> None:
    """One line for whoever watches the program; behind `warn_after` it gets a SIGTERM."""
    print(f"step {step}", flush=True)
    time.sleep(pause)
    if step == warn_after:
        os.kill(os.getpid(), signal.SIGTERM)


def as_program(train: Callable[..., State]) -> None:
    """Runs with the options in argv[1]; stores the final state in `result` once it completed."""
    torch.set_num_threads(1)
    options = json.loads(sys.argv[1])
    result = Path(options.pop("result"))
    state = train(Path(os.environ["SPOT_DIR"]), **options)
    torch.save(state, result)


def run_script() -> None:
    """Runs the script argv[1] with the rest of the arguments, below $HOME."""
    os.chdir(os.environ["HOME"])
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
