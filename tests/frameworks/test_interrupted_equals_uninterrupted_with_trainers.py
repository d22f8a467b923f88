"""Trainers of Hugging Face and Lightning that are cut off end with the bits of those that are not.

A cut drops every object and scrambles torch's generator; processes are killed in another file.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import spot_training as spot
from kit.torch_trainers import huggingface, lightning
from kit.torch_trainers.common import EPOCH_STEPS, EPOCHS, Cut, State, expect_same_bits
from lightning.pytorch import Callback
from spot_training.integrations import huggingface as integration

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the frameworks' own
]

Train = Callable[..., State]
KINDS: dict[str, Train] = {
    "Hugging Face": huggingface.train,
    "Hugging Face, accumulating gradients": partial(
        huggingface.train, gradient_accumulation_steps=2, num_train_epochs=2 * EPOCHS
    ),
    "Hugging Face, evaluating within epochs": partial(
        huggingface.train, eval_strategy="steps", eval_steps=4
    ),
    "Hugging Face, evaluating after epochs": partial(huggingface.train, eval_strategy="epoch"),
    "Hugging Face, saving for itself too": partial(
        huggingface.train, save_strategy="steps", save_steps=5
    ),
    "Hugging Face, from a stream": partial(
        huggingface.train, data=huggingface.Stream(200), max_steps=EPOCHS * EPOCH_STEPS
    ),
    "Lightning": lightning.train,
    "Lightning, accumulating gradients": partial(
        lightning.train, accumulate_grad_batches=2, epochs=2 * EPOCHS
    ),
    "Lightning, validating within epochs": partial(
        lightning.train, validate=True, val_check_interval=4
    ),
    "Lightning, validating after epochs": partial(lightning.train, validate=True),
    "Lightning, saving for itself too": partial(lightning.train, saves=True),
    "Lightning, with a loader that knows its place": partial(lightning.train, positioned=True),
    "Lightning, by steps": partial(lightning.train, epochs=-1, max_steps=25),
}
CUTS = {
    "twice within an epoch": (EPOCH_STEPS + 2, EPOCH_STEPS + 5),
    "at the boundary": (EPOCH_STEPS,),
    "behind the first step, and near the end": (1, EPOCHS * EPOCH_STEPS - 6),
}
_whole: dict[str, State] = {}


def uninterrupted(kind: str, folder: Path) -> State:
    """Made once for all the cuts."""
    if kind not in _whole:
        _whole[kind] = KINDS[kind](folder / "whole")
    return _whole[kind]


def interrupted(train: Train, directory: Path, cuts: tuple[int, ...]) -> State:
    for cut in cuts:
        with pytest.raises(Cut):
            train(directory, cut_after=cut)
    return train(directory)


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_the_same(tmp_path: Path, kind: str, cuts: tuple[int, ...]) -> None:
    whole = uninterrupted(kind, tmp_path)
    expect_same_bits(interrupted(KINDS[kind], tmp_path / "cut", cuts), whole)


WARNINGS = [
    (kind, step)
    for kind in KINDS
    for step in (EPOCH_STEPS, EPOCH_STEPS + 3)
    # An evaluation that is cut off is done again by Lightning, but not by the other.
    if (kind, step) != ("Hugging Face, evaluating after epochs", EPOCH_STEPS)
]


@pytest.mark.parametrize(("kind", "step"), WARNINGS)
def test_a_warning_pauses_the_training_and_loses_nothing(
    tmp_path: Path, kind: str, step: int
) -> None:
    with pytest.raises(spot.Paused, match=r"is committed$"):
        KINDS[kind](tmp_path / "cut", warn_after=step, interval=1000)
    expect_same_bits(KINDS[kind](tmp_path / "cut"), uninterrupted(kind, tmp_path))


def test_without_the_random_state_the_bits_would_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison can fail: this is what it looks like."""
    whole = uninterrupted("Hugging Face", tmp_path)
    monkeypatch.setattr("spot_training.torch_state.randomness.restore", lambda _: None)
    with pytest.raises(AssertionError):
        expect_same_bits(interrupted(huggingface.train, tmp_path / "cut", (3,)), whole)


def test_an_evaluation_that_is_cut_off_is_told_and_costs_no_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(spot.Paused, match=r"step 4 is committed$"):
        huggingface.train(
            tmp_path, warn_after=4, interval=1000, eval_strategy="steps", eval_steps=4
        )
    assert "at step 4 is cut off and will not be repeated" in capsys.readouterr().err


class WarnedEarly(Callback):
    """Gets a SIGTERM before the first batch, where Lightning still handles it in its own way."""

    def on_sanity_check_end(self, *_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_warning_before_the_first_batch_pauses_too(tmp_path: Path) -> None:
    kind = "Lightning, validating after epochs"
    with pytest.raises(spot.Paused, match=r"step 1 is committed$"):
        KINDS[kind](tmp_path / "cut", callbacks=[WarnedEarly()], interval=1000)
    expect_same_bits(KINDS[kind](tmp_path / "cut"), uninterrupted(kind, tmp_path))


def test_data_that_draws_while_it_is_read_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    survival = integration.SpotCallback()
    data = huggingface.Rows(noise=True)
    trainer = huggingface.a_trainer(tmp_path, survival, data=data, max_steps=4)
    trainer.train(resume_from_checkpoint=spot.resume_path(directory=tmp_path))
    survival.complete()
    said = capsys.readouterr().err
    assert said.count("reading the data draws random numbers in this process") == 1


def test_an_epoch_that_is_not_skipped_into_is_reported_and_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Cut):
        huggingface.train(tmp_path, cut_after=4, ignore_data_skip=True)
    capsys.readouterr()
    huggingface.train(tmp_path, ignore_data_skip=True)
    said = capsys.readouterr()
    assert "ignore_data_skip: an interrupted epoch is read from its beginning again" in said.err
    assert f"step {EPOCHS * EPOCH_STEPS}" in said.out.splitlines()
