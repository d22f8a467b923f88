"""Torch in a checkpoint: imported only where torch itself is (`spot-training[torch]`)."""

from __future__ import annotations

from typing import Any

import torch

from spot_training.checkpoint.tensors import announce
from spot_training.torch_state import randomness as randomness  # read by the core, by name
from spot_training.torch_state.generators import GeneratorState
from spot_training.torch_state.loaders import source as source  # likewise
from spot_training.torch_state.modules import ModuleState
from spot_training.torch_state.optimizers import OptimizerState
from spot_training.torch_state.samples import SeededSamples as SeededSamples
from spot_training.torch_state.tensors import TorchTensors

GENERATORS = (torch.Generator,)

announce(TorchTensors())


def adapter(value: object) -> Any:
    """What saves and restores a torch object exactly; None for objects that do so themselves."""
    if isinstance(value, torch.nn.Module):
        return ModuleState(value)
    if isinstance(value, torch.optim.Optimizer):
        return OptimizerState(value)
    if isinstance(value, torch.Generator):
        return GeneratorState(value)
    return None
