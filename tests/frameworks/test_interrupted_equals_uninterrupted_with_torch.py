"""A torch training that is cut off ends with the same bits as one that is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from kit.torch_training import EPOCHS, SAMPLES, STEPS, Training, expect_same_bits, interrupted

Make = Callable[[Path], Training]
KINDS: dict[str, Make] = {
    "dropout and augmentation": Training,
    "bfloat16 parameters": lambda path: Training(path, dtype=torch.bfloat16),
}
CUTS = {
    "twice within an epoch": (STEPS + 2, STEPS + 5),
    "twice within an epoch, the second time before anything was saved": (STEPS + 2, -(STEPS + 5)),
    "at the boundary": (STEPS,),
    "before and behind the boundary": (STEPS - 1, -(STEPS + 1), STEPS + 1),
    "before anything was saved": (-1, -2),
    "behind the first step, and at the end": (1, EPOCHS * STEPS),
    "two epochs later": (3, 2 * STEPS + 3),
}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_the_bits_are_the_same(tmp_path: Path, make: Make, cuts: tuple[int, ...]) -> None:
    """Elsewhere the second resume of an epoch lost the place (KempnerInstitute/KempnerForge#57), an
    epoch was skipped at the boundary (verl-project/verl#7401), and making the iterator drew one
    number too many (NVIDIA-NeMo/Megatron-Bridge#5257)."""
    whole = make(tmp_path / "whole").attempt()
    cut = make(tmp_path / "cut")
    expect_same_bits(interrupted(cut, cuts), whole)
    assert cut.exactness() == {"exact": True}


def test_steps_are_optimizer_steps_when_gradients_accumulate(tmp_path: Path) -> None:
    whole = Training(tmp_path / "whole", accumulate=2).attempt()
    cut = Training(tmp_path / "cut", accumulate=2)
    expect_same_bits(interrupted(cut, (3, 7, -9)), whole)
    assert cut.run.current_step == EPOCHS * STEPS // 2
    assert cut.run.samples == EPOCHS * SAMPLES


def forgets(states: Any) -> None:
    """Puts nothing back."""


def test_without_torchs_random_state_the_bits_would_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison can fail: this is what it looks like."""
    whole = Training(tmp_path / "whole").attempt()
    monkeypatch.setattr("spot_training.torch_state.randomness.restore", forgets)
    with pytest.raises(AssertionError):
        expect_same_bits(interrupted(Training(tmp_path / "cut"), (STEPS + 2,)), whole)
