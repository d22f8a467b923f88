"""What the Hugging Face Trainer can be told to do that cannot be resumed exactly. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def refused(args: Any, model: Any) -> Iterator[str]:
    """What is not supported, each by its name and with what to do instead."""
    if args.deepspeed:
        yield "DeepSpeed is not supported: train without TrainingArguments(deepspeed=…)"
    if args.fsdp:
        yield "FSDP is not supported: train without TrainingArguments(fsdp=…)"
    if args.world_size > 1:
        yield (
            f"{args.world_size} processes are not supported: start one process, "
            "without torchrun or accelerate launch"
        )
    if args.n_gpu > 1:
        yield (
            f"DataParallel over {args.n_gpu} GPUs is not supported: show the process one of them, "
            "such as CUDA_VISIBLE_DEVICES=0"
        )
    if args.device.type not in ("cpu", "cuda"):
        yield (
            f"the random state of {args.device.type} cannot be saved: train on CUDA, or with "
            "TrainingArguments(use_cpu=True)"
        )
    if _is_peft(model):
        yield (
            "PEFT adapters are not supported: train the whole model, or write the loop "
            "yourself with spot.resume(arrays or objects of the adapter)"
        )
    yield from _refused_switches(args)


def _refused_switches(args: Any) -> Iterator[str]:
    """Arguments of the Trainer that begin, or end, a training behind the callback's back."""
    switches = {
        "auto_find_batch_size": "set per_device_train_batch_size to what fits",
        "enable_jit_checkpoint": "the callback saves at a notice, and train() does not return",
        "restore_callback_states_from_checkpoint": "give the callbacks that keep state to "
        "SpotCallback(callbacks=[…])",
    }
    for name, instead in switches.items():
        if getattr(args, name, False):
            yield f"TrainingArguments({name}=True) is not supported: {instead}"
    if getattr(args.accelerator_config, "use_stateful_dataloader", False):
        yield (
            "accelerator_config.use_stateful_dataloader is not supported: the Trainer skips "
            "what was consumed without it"
        )


def unsaved(state: Any, callbacks: list[Any]) -> Iterator[str]:
    """Callbacks that keep state which nobody gave to the SpotCallback."""
    given = {type(callback).__name__ for callback in callbacks} | {"TrainerControl"}
    for name in sorted(set(state.stateful_callbacks) - given):
        yield (
            f"{name} keeps state that would not be saved: pass the same object also to "
            "SpotCallback(callbacks=[…])"
        )


def inexact(args: Any, loader: Any) -> Iterator[str]:
    """What makes a resumed training differ from an uninterrupted one, known beforehand."""
    if args.ignore_data_skip:
        yield "ignore_data_skip: an interrupted epoch is read from its beginning again"
    if args.dataloader_persistent_workers:
        yield "persistent workers keep random state that cannot be saved"
    if not sized(loader):
        yield (
            "the training data has no length: what was consumed is read again and dropped, and "
            "once it has been read to its end nothing can be resumed; give it a length"
        )


def sized(loader: Any) -> bool:
    """Whether the loader knows how many batches an epoch has."""
    try:
        len(loader)
    except TypeError:
        return False
    return True


def _is_peft(model: Any) -> bool:
    named = type(model).__module__.partition(".")[0] == "peft"
    return named or bool(getattr(model, "_hf_peft_config_loaded", False))
