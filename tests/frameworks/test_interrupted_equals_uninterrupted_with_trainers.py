"""Trainers of Hugging Face and Lightning that are cut off end with the bits of those that are not.

A cut drops every object and scrambles torch's generator; kills and warnings are further below.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import spot_training as spot
import torch
from kit.sidecar import eventually
from kit.torch_trainers import huggingface, lightning
from kit.torch_trainers.common import EPOCH_STEPS, EPOCHS, Cut, State, expect_same_bits
from kit.zygote import Child, Zygote, a_zygote
from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.integrations import huggingface as integration

pytestmark = [
    pytest.mark.usefixtures("alone"),
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
    "Lightning": lightning.train,
    "Lightning, accumulating gradients": partial(
        lightning.train, accumulate_grad_batches=2, epochs=2 * EPOCHS
    ),
    "Lightning, validating within epochs": partial(
        lightning.train, validate=True, val_check_interval=4
    ),
    "Lightning, validating after epochs": partial(lightning.train, validate=True),
    "Lightning, saving for itself too": partial(lightning.train, saves=True),
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


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        with a_zygote("kit.torch_trainers.huggingface", "kit.torch_trainers.lightning") as made:
            yield made


def started(zygote: Zygote, program: str, directory: Path, log: Path) -> Child:
    options = {"result": str(directory.with_suffix(".pt")), "pause": 0.03, "interval": 0.1}
    environment = {
        "SPOT_DIR": str(directory), "HF_HUB_OFFLINE": "1", "PATH": os.environ["PATH"],
        "HOME": str(directory.parent),
    }  # fmt: skip
    return zygote.start(
        f"kit.torch_trainers.{program}:main", [json.dumps(options)], env=environment, log=log
    )


@pytest.mark.parametrize("program", ["huggingface", "lightning"])
def test_killed_processes_end_with_the_same_bits(
    tmp_path: Path, zygote: Zygote, program: str
) -> None:
    whole = uninterrupted("Hugging Face" if program == "huggingface" else "Lightning", tmp_path)
    directory = tmp_path / "killed"
    for step, how, code in ((6, signal.SIGKILL, -9), (14, signal.SIGTERM, 0)):
        before, log = commits(directory), tmp_path / f"{step}.log"
        child = started(zygote, program, directory, log)
        expect(log, lambda step=step, log=log: f"step {step}\n" in read(log))
        expect(log, lambda before=before: commits(directory) > before)
        child.signal(how)
        assert child.wait(60) == code, read(log)
        assert not directory.with_suffix(".pt").exists()
    assert started(zygote, program, directory, tmp_path / "last.log").wait(60) == 0
    expect_same_bits(torch.load(directory.with_suffix(".pt"), weights_only=True), whole)


def expect(log: Path, look: Callable[[], bool]) -> None:
    try:
        eventually("the training", look, seconds=60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {read(log)}") from None


def read(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def commits(directory: Path) -> int:
    if not directory.exists():
        return 0
    return len(DirectoryStore(directory).list(keys.COMMITS))


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
