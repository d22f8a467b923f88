"""The folder that the Hugging Face Trainer is given to resume from: what it reads too early.

The Trainer reads its position before any callback is asked, and wants weights beside it. Position
and logs are real. The weights are placeholders of the right shapes in a few bytes, all NaN: the
callback puts the real ones in place before the first step, out of verified memory, in the dtypes
they had. A second copy of them on disk would cost minutes and room for a large model.
Source: transformers.Trainer._load_from_checkpoint and _init_training_state, 5.23.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

STATE, WEIGHTS = "trainer_state.json", "pytorch_model.bin"


def lay_out(state: Mapping[str, Any], global_step: int, model: Any) -> Path:
    """A new folder with this state at this step; `model` lends the shapes of its weights."""
    folder = Path(tempfile.mkdtemp(prefix="spot-training-"))
    (folder / STATE).write_text(json.dumps({**state, "global_step": global_step}))
    torch.save({k: _placeholder(v) for k, v in model.state_dict().items()}, folder / WEIGHTS)
    return folder


def position_of(carried: Mapping[str, Any]) -> int:
    """The step that the Trainer is told.

    It goes by whole epochs, and would do one step too many in the midst of the last one: a training
    that had ended is shown as past its last epoch, so that `train()` has nothing left to do.
    """
    state = carried["state"]
    if not carried["ended"]:
        return int(state["global_step"])
    return int(state["num_train_epochs"]) * int(carried["stepsPerEpoch"])


def _placeholder(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    nothing = float("nan") if value.dtype.is_floating_point or value.dtype.is_complex else 0
    return torch.full((), nothing, dtype=value.dtype).expand(value.shape)
