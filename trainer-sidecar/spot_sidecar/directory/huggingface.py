"""Folders of the Hugging Face Trainer: `checkpoint-<step>` with everything a resume reads.

By transformers' Trainer (5.x): weights, optimizer, scheduler, one RNG file per process and, last,
`trainer_state.json`. It resumes without complaint from a folder that lacks the optimizer, so
nothing may be missing.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from spot_sidecar.directory import dcp
from spot_sidecar.directory.integrity import integrity_fault
from spot_sidecar.directory.sets import FileSeen, FileSet, Opener, below

__all__ = ["HuggingFace"]

FOLDER = re.compile(r"checkpoint-(\d{1,12})")
INCOMPLETE = "checkpoint-is-incomplete.txt"
STATE = "trainer_state.json"
RNG = re.compile(r"rng_state_(\d+)\.pth")
WEIGHTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
OPTIMIZERS = ("optimizer.pt", "optimizer.bin")
SHARDED_WEIGHTS = "pytorch_model_fsdp_0/"
SHARDED_OPTIMIZER = "optimizer_0/"
"""Of FSDP, as distributed checkpoints: what of them is missing, they tell themselves."""
DEEPSPEED = re.compile(r"global_step\d+/.+")


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """`processes`: how many processes train, at least; each saves its own RNG."""

    processes: int = 1
    at_the_end: ClassVar[bool] = True

    def sets(self, files: Sequence[FileSeen], _opened: Opener) -> list[FileSet]:
        """Each folder of that name, wherever it lies."""
        roots = {
            root: step for file in files if (found := _root(file.path)) for root, step in found
        }
        return [FileSet(root, step, below(root, files)) for root, step in roots.items()]

    def lacks(self, found: FileSet, opened: Opener) -> str:
        """The first thing that is missing or not whole."""
        return next(self._lacking(found, opened), "")

    def _lacking(self, found: FileSet, opened: Opener) -> Iterator[str]:
        names = found.names()
        if INCOMPLETE in names:
            yield f"{INCOMPLETE} is still there"
        yield from _weights(found, opened)
        yield from _optimizer(names)
        yield from self._randomness(names)
        yield from _state(found, opened)
        yield from filter(None, (integrity_fault(file, opened) for file in found.files))
        yield from filter(None, (dcp.lacks(part, opened) for part in dcp.parts(found.files)))

    def _randomness(self, names: dict[str, FileSeen]) -> Iterator[str]:
        if self.processes == 1 and "rng_state.pth" in names:
            return
        present = {int(match[1]) for name in names if (match := RNG.fullmatch(name))}
        needed = max(self.processes, max(present, default=-1) + 1)
        if needed == 1 and not present:
            yield "rng_state.pth is missing"
        for rank in sorted(set(range(needed)) - present):
            yield f"rng_state_{rank}.pth is missing"


def _root(path: str) -> list[tuple[str, int]]:
    """The outermost folder of a checkpoint on the way to `path`."""
    folders = path.split("/")[:-1]
    for depth, folder in enumerate(folders, 1):
        if match := FOLDER.fullmatch(folder):
            return [("/".join(folders[:depth]), int(match[1]))]
    return []


def _weights(found: FileSet, opened: Opener) -> Iterator[str]:
    names = found.names()
    indexes = [name for name in INDEXES if name in names]
    if indexes:
        for name in indexes:
            yield from _shards(names, names[name].path, opened)
    elif not _has(names, WEIGHTS, SHARDED_WEIGHTS) and not _deepspeed(names):
        yield f"{WEIGHTS[0]} is missing (the model's weights)"


def _shards(names: dict[str, FileSeen], index: str, opened: Opener) -> Iterator[str]:
    body = _json(index, opened)
    shards = body.get("weight_map") if isinstance(body, dict) else None
    if not isinstance(shards, dict) or not shards:
        yield f"{index} cannot be read"
        return
    for shard in sorted({str(name) for name in shards.values()} - set(names)):
        yield f"{shard} is missing, {index} names it"


def _optimizer(names: dict[str, FileSeen]) -> Iterator[str]:
    if _deepspeed(names):
        return
    if not _has(names, OPTIMIZERS, SHARDED_OPTIMIZER):
        yield "optimizer.pt is missing (save_only_model leaves nothing to resume from)"
    if "scheduler.pt" not in names:
        yield "scheduler.pt is missing"


def _has(names: dict[str, FileSeen], files: tuple[str, ...], folder: str) -> bool:
    return any(name in files or name.startswith(folder) for name in names)


def _deepspeed(names: dict[str, FileSeen]) -> bool:
    return any(DEEPSPEED.fullmatch(name) for name in names)


def _state(found: FileSet, opened: Opener) -> Iterator[str]:
    if STATE not in found.names():
        yield f"{STATE} is missing"
        return
    body = _json(found.names()[STATE].path, opened)
    said = body.get("global_step") if isinstance(body, dict) else None
    if said != found.step:
        yield f"{STATE} says step {said}, the folder {found.step}"


def _json(path: str, opened: Opener) -> Any:
    try:
        with opened(path) as stream:
            return json.load(stream)
    except (OSError, ValueError, RecursionError):
        return None
