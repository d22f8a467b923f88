"""What a Trainer of Hugging Face or Lightning is refused for, by its name and before it trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import spot_training as spot
import torch
from kit.commands import Shell
from kit.torch_trainers import huggingface, lightning
from kit.torch_trainers.common import EPOCH_STEPS, Cut, State
from lightning.pytorch.strategies import SingleDeviceStrategy
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.integrations import huggingface_limits, lightning_limits
from spot_training.integrations.huggingface import SpotCallback as HuggingFaceCallback
from transformers import EarlyStoppingCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the frameworks' own
]

Train = Callable[..., State]


def arguments(**changed: Any) -> Any:
    """Arguments of the Trainer as this machine cannot have them."""
    plain = {
        "deepspeed": None, "fsdp": [], "world_size": 1, "n_gpu": 1,
        "device": torch.device("cpu"), "accelerator_config": SimpleNamespace(),
    }  # fmt: skip
    return SimpleNamespace(**(plain | changed))


def a_peft_model() -> Any:
    return type("PeftModel", (), {"__module__": "peft.peft_model"})()


@pytest.mark.parametrize(("args", "said"), [
    (arguments(deepspeed="zero3.json"), "DeepSpeed is not supported"),
    (arguments(fsdp=["full_shard"]), "FSDP is not supported"),
    (arguments(world_size=4), "4 processes are not supported: start one process"),
    (arguments(n_gpu=2), "DataParallel over 2 GPUs is not supported"),
    (arguments(device=torch.device("mps")), "the random state of mps cannot be saved"),
    (arguments(accelerator_config=SimpleNamespace(use_stateful_dataloader=True)),
     "use_stateful_dataloader is not supported"),
])  # fmt: skip
def test_the_trainer_is_refused(args: Any, said: str) -> None:
    (problem,) = huggingface_limits.refused(args, torch.nn.Linear(1, 1))
    assert said in problem


def test_adapters_are_refused() -> None:
    (problem,) = huggingface_limits.refused(arguments(), a_peft_model())
    assert "PEFT adapters are not supported" in problem


@pytest.mark.parametrize(
    "switch",
    ["auto_find_batch_size", "enable_jit_checkpoint", "restore_callback_states_from_checkpoint"],
)
def test_a_trainer_with_such_a_switch_is_not_even_made(
    tmp_path: Path, switch: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(spot.Refused, match=f"{switch}=True"):
        huggingface.a_trainer(tmp_path, HuggingFaceCallback(), **{switch: True})
    assert f"Refused: TrainingArguments({switch}=True)" in capsys.readouterr().err


def test_callbacks_whose_state_would_be_lost_are_named(tmp_path: Path) -> None:
    survival = HuggingFaceCallback()
    trainer = huggingface.a_trainer(
        tmp_path, survival, callbacks=[EarlyStoppingCallback()],
        eval_strategy="epoch", metric_for_best_model="loss",
    )  # fmt: skip
    with pytest.raises(spot.Refused, match=r"EarlyStoppingCallback keeps state .*callbacks=\["):
        trainer.train(resume_from_checkpoint=spot.resume_path(directory=tmp_path))


@pytest.mark.parametrize(
    "strategy", ["FSDPStrategy", "ModelParallelStrategy", "DeepSpeedStrategy", "DDPStrategy"]
)
def test_strategies_are_refused_by_name(strategy: str) -> None:
    trainer = SimpleNamespace(strategy=type(strategy, (), {})())
    (problem,) = lightning_limits.refused(trainer)
    assert problem.startswith(f"{strategy} is not supported: train on one device")


def test_a_real_strategy_is_refused_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(spot.Refused, match="ParallelOfOne is not supported"):
        lightning.train(tmp_path, strategy=ParallelOfOne(torch.device("cpu")))
    assert "step" not in capsys.readouterr().out


class ParallelOfOne(SingleDeviceStrategy):
    """A strategy that nobody has heard of."""


class Unsaved(lightning.Model):
    """Puts into Lightning's checkpoints what only pickle could keep."""

    def on_save_checkpoint(self, checkpoint: Any) -> None:
        checkpoint["tool"] = object()


def test_state_that_only_pickle_could_keep_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(spot.Refused, match=r"checkpoint/tool: builtins.object cannot"):
        lightning.train(tmp_path, model=Unsaved())
    assert "step" not in capsys.readouterr().out


CHANGED: dict[str, tuple[Train, dict[str, Any], str]] = {
    "huggingface": (huggingface.train, {"width": 16}, r"model: .* there and .* here"),
    "lightning": (lightning.train, {"model": lightning.Model(8)}, r"net.0.weight is F32\[16,"),
    "more steps": (huggingface.train, {"num_train_epochs": 9}, "begin another job"),
}


@pytest.mark.parametrize(("train", "changed", "said"), CHANGED.values(), ids=CHANGED)
def test_a_changed_script_is_told_what_differs(
    tmp_path: Path, train: Train, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(Cut):
        train(tmp_path, ends=False)
    with pytest.raises(spot.Refused, match=said) as raised:
        train(tmp_path, **changed)
    assert raised.value.code == 93


@pytest.mark.parametrize(("train", "changed", "said"), [
    (huggingface.train, {"per_device_train_batch_size": 8}, "had 10 steps .* and has 5 now"),
    (lightning.train, {"batch": 8}, "had 10 batches .* and has 5 now: go on with the data"),
])  # fmt: skip
def test_another_batch_size_is_told_before_the_wrong_place_is_found(
    tmp_path: Path, train: Train, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(spot.Paused):
        train(tmp_path, warn_after=EPOCH_STEPS + 7, interval=1000)
    with pytest.raises(spot.Refused, match=said):
        train(tmp_path, **changed)


@pytest.mark.parametrize(("first", "second", "said"), [
    (huggingface.train, lightning.train, "written by the Hugging Face Trainer"),
    (lightning.train, huggingface.train, "this script trains with the Hugging Face Trainer"),
])  # fmt: skip
def test_another_framework_is_told(tmp_path: Path, first: Train, second: Train, said: str) -> None:
    with pytest.raises(Cut):
        first(tmp_path, cut_after=3)
    with pytest.raises(spot.Refused, match=said):
        second(tmp_path)


def test_a_script_with_a_loop_of_its_own_is_told(tmp_path: Path) -> None:
    run = spot.resume(extras={"a": 1}, directory=tmp_path, interval=1000)
    run.step()
    run.save()
    assert run._ticket is not None
    assert run._ticket.wait(30)
    run._backend.close()
    with pytest.raises(spot.Refused, match=r"a loop of its own \(spot.resume\)"):
        lightning.train(tmp_path)


def test_a_callback_without_a_path_cannot_resume(tmp_path: Path) -> None:
    with pytest.raises(Cut):
        huggingface.train(tmp_path, cut_after=3)
    forgot = huggingface.a_trainer(tmp_path / "out", HuggingFaceCallback())
    with pytest.raises(spot.Refused, match=r"resume_from_checkpoint=spot.resume_path"):
        forgot.train()
    ignored = huggingface.a_trainer(tmp_path / "out", HuggingFaceCallback())
    assert spot.resume_path(directory=tmp_path) is not None
    with pytest.raises(spot.Refused, match=r"resume_from_checkpoint=spot.resume_path"):
        ignored.train()


def test_a_stream_that_began_again_is_told_while_it_can_still_be_given_a_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(spot.Paused):
        huggingface.train(tmp_path, data=huggingface.Stream(12), max_steps=9, warn_after=5)
    assert "exact resume is not guaranteed: the training data has no length" in (
        capsys.readouterr().err
    )
    with pytest.raises(spot.Refused, match="give the data a length"):
        huggingface.train(tmp_path, data=huggingface.Stream(12), max_steps=9)


DOUBTFUL: dict[str, tuple[Train, dict[str, Any], str]] = {
    "huggingface": (
        huggingface.train, {"ignore_data_skip": True},
        "ignore_data_skip: an interrupted epoch is read from its beginning again",
    ),
    "lightning": (
        lightning.train, {"reload_dataloaders_every_n_epochs": 1},
        "reload_dataloaders_every_n_epochs: the loaders are created again at every start",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("train", "settings", "why"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_checkpoints_that_are_not_sure_to_be_exact_say_so(
    tmp_path: Path,
    train: Train,
    settings: dict[str, Any],
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(Cut):
        train(tmp_path, cut_after=3, **settings)
    train(tmp_path)  # the setting is gone, what was made with it is not
    said = capsys.readouterr().err
    assert said.count(f"exact resume is not guaranteed: {why}") == 1
    store = DirectoryStore(tmp_path)
    for key in store.list(keys.COMMITS):
        manifest = verify.read_manifest(store, str(keys.parse_commit(key)))
        assert manifest.dataset == {"exact": False, "why": why}
    assert f"not sure: {why}" in Shell(capsys)("checkpoints", "show", tmp_path, "newest").out


def test_complete_comes_after_the_training(tmp_path: Path) -> None:
    survival = HuggingFaceCallback()
    with pytest.raises(RuntimeError, match=r"after trainer.train\(\) has returned"):
        survival.complete()
