"""The begin and the end of trainings with the Trainers of Hugging Face and Lightning."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import spot_training as spot
import torch
from kit.fake_sidecar import FakeSidecar, serving
from kit.torch_trainers import huggingface, lightning
from kit.torch_trainers.common import EPOCH_STEPS, Cut, State, expect_same_bits
from lightning.pytorch import Callback
from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.integrations import opening
from spot_training.integrations.huggingface import SpotCallback
from spot_training.integrations.huggingface_folder import lay_out
from spot_training.times import rfc3339, utc_now
from transformers import EarlyStoppingCallback, TrainerCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the frameworks' own
]

Train = Callable[..., State]
BOTH = pytest.mark.parametrize("train", [huggingface.train, lightning.train])


def markers(directory: Path) -> int:
    return len(DirectoryStore(directory).list(keys.MARKERS))


@BOTH
def test_a_completed_job_is_not_trained_again(tmp_path: Path, train: Train) -> None:
    train(tmp_path)
    assert markers(tmp_path) == 1
    with pytest.raises(spot.AlreadyCompleted):
        train(tmp_path)


class StopEarly(TrainerCallback):
    """Ends a training of the Hugging Face Trainer behind step 7."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop |= state.global_step == 7


class StopLightningEarly(Callback):
    """Ends one of Lightning's behind step 7."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        trainer.should_stop |= trainer.global_step == 7


ENDS: dict[str, Train] = {
    "after whole epochs": huggingface.train,
    "amid an epoch": partial(huggingface.train, max_steps=EPOCH_STEPS + 3),
    "early": partial(huggingface.train, others=[StopEarly()]),
    "early, with Lightning": partial(lightning.train, callbacks=[StopLightningEarly()]),
    "after whole epochs, with Lightning": lightning.train,
    "amid an epoch, with Lightning": partial(lightning.train, max_steps=EPOCH_STEPS + 3),
}


@pytest.mark.parametrize("train", ENDS.values(), ids=ENDS)
def test_what_was_trained_and_not_completed_is_not_trained_on(
    tmp_path: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(tmp_path / "whole")
    with pytest.raises(Cut):
        train(tmp_path / "cut", ends=False)
    assert markers(tmp_path / "cut") == 0
    capsys.readouterr()
    expect_same_bits(train(tmp_path / "cut"), whole)
    said = capsys.readouterr()
    assert "nothing is repeated" in said.err
    assert "step " not in said.out
    assert markers(tmp_path / "cut") == 1


def test_without_a_checkpoint_there_is_no_path(tmp_path: Path) -> None:
    SpotCallback()
    assert spot.resume_path(directory=tmp_path) is None


def test_a_path_needs_a_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_made", [])
    with pytest.raises(RuntimeError, match=r"with callbacks=\[SpotCallback\(\)\]"):
        spot.resume_path(directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_the_folder_that_the_trainer_resumed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Cut):
        huggingface.train(tmp_path / "run", cut_after=4)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    seen: list[int] = []

    def measured(*given: Any) -> Path:
        folder = lay_out(*given)
        seen.extend(each.stat().st_size for each in folder.iterdir())
        return folder

    monkeypatch.setattr("spot_training.integrations.huggingface.lay_out", measured)
    huggingface.train(tmp_path / "run")
    assert seen
    assert max(seen) < 20_000  # the model alone has 100 kB
    assert not list(scratch.glob("spot-training-*"))


class Forgetful(torch.optim.AdamW):
    """Loses bits while it loads."""

    def load_state_dict(self, state_dict: Any) -> None:
        super().load_state_dict(state_dict)
        for state in self.state.values():
            if state:
                state["exp_avg"] += 1


class ForgetfulModel(lightning.Model):
    """With that optimizer."""

    def configure_optimizers(self) -> Any:
        return Forgetful(self.parameters(), lr=0.01)


def test_a_tensor_that_loading_changed_is_named(tmp_path: Path) -> None:
    with pytest.raises(Cut):
        lightning.train(tmp_path / "lightning", model=ForgetfulModel(), cut_after=4)
    with pytest.raises(spot.StateDiffers, match="optimizer0/state/0/exp_avg"):
        lightning.train(tmp_path / "lightning", model=ForgetfulModel())


def test_placeholders_that_were_not_replaced_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Cut):
        huggingface.train(tmp_path, cut_after=4)
    monkeypatch.setattr(
        "spot_training.torch_state.modules.ModuleState.load_state_dict", lambda *_: None
    )
    with pytest.raises(spot.StateDiffers, match=r"model/lm_head|model/transformer"):
        huggingface.train(tmp_path)


def test_early_stopping_goes_on_counting(tmp_path: Path) -> None:
    def stopping() -> EarlyStoppingCallback:
        return EarlyStoppingCallback(early_stopping_patience=9)

    settings: dict[str, Any] = {
        "eval_strategy": "steps", "eval_steps": 2, "metric_for_best_model": "eval_loss",
        "greater_is_better": True,  # it never gets better
    }  # fmt: skip
    whole, resumed = stopping(), stopping()
    expected = huggingface.train(tmp_path / "whole", callbacks=[whole], **settings)
    with pytest.raises(Cut):
        huggingface.train(tmp_path / "cut", callbacks=[stopping()], cut_after=9, **settings)
    expect_same_bits(huggingface.train(tmp_path / "cut", callbacks=[resumed], **settings), expected)
    assert whole.early_stopping_patience_counter == 9
    assert resumed.early_stopping_patience_counter == 9


@pytest.mark.parametrize(("train", "settings", "what"), [
    (huggingface.train, {"eval_strategy": "steps", "eval_steps": 8}, "evaluation"),
    (lightning.train, {"validate": True, "val_check_interval": 8}, "validation"),
    (lightning.train, {"tests": True}, "test"),
])  # fmt: skip
def test_a_validation_is_no_stall(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    train: Train,
    settings: dict[str, Any],
    what: str,
) -> None:
    with serving(FakeSidecar(tmp_path)) as sidecar:
        monkeypatch.setenv("SPOT_SOCKET", str(sidecar.socket))
        train(tmp_path / "out", max_steps=8, **settings)
    assert [body["what"] for body in sidecar.told("/v1/busy")] == [what, None]


def test_beside_a_sidecar_the_words_are_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = {"kind": "Preempt", "source": "imds", "observedAt": rfc3339(utc_now())}
    with serving(FakeSidecar(tmp_path)) as sidecar:
        monkeypatch.setenv("SPOT_SOCKET", str(sidecar.socket))
        huggingface.train(tmp_path / "out", num_train_epochs=1)
        assert sidecar.told("/v1/complete")
        (tmp_path / "notice.json").write_text(json.dumps(notice))
        with pytest.raises(spot.Paused):
            lightning.train(tmp_path / "out")
        (word,) = sidecar.told("/v1/word")
        assert word["word"] == "Paused"
        assert sidecar.told("/v1/snapshots")[-1]["step"] == 1
