"""Ways to save a training state: ours is one, the others are what people use.

`save` returns when the trainer may go on; its answer says whether the save is durable by now. Every
file goes to one disk and is fsynced; DCP's asynchronous modes keep their stager, so that they do
not pay for fresh memory at each save.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_saver import AsyncCheckpointerType

from benchmarks.checkpoint.states import tensors_of

Durable = Callable[[], bool]


class Method(Protocol):
    """One way to save."""

    def save(self, step: int) -> Durable:
        """Save; return as soon as the trainer may change its state."""

    def forget(self, step: int) -> None:
        """Remove what was saved."""


def at_once() -> bool:
    """For what is durable when `save` returns."""
    return True


class Floor:
    """One copy of all tensors into memory that is there: what no save of this kind undercuts."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        self._tensors = list(tensors_of(model, optimizer))
        self._ready = [torch.empty_like(tensor).copy_(tensor) for tensor in self._tensors]

    def save(self, step: int) -> Durable:  # noqa: ARG002 - as every method
        with torch.no_grad():
            for ready, tensor in zip(self._ready, self._tensors, strict=True):
                ready.copy_(tensor)
        return at_once

    def forget(self, step: int) -> None:
        """Nothing is kept."""


class Ours:
    """`run.save()` beside a real sidecar; durable once it is committed in the job's store."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def save(self, step: int) -> Durable:  # noqa: ARG002 - the run counts its own
        if not self._run.save():
            raise RuntimeError("no snapshot was taken: no arena was free")
        # Asking the sidecar again and again would disturb what is measured; the run is told.
        ticket = self._run._ticket  # noqa: SLF001

        def committed() -> bool:
            if ticket.settled and not ticket.committed:
                raise RuntimeError(f"the snapshot was not committed: {ticket.why}")
            return bool(ticket.committed)

        return committed

    def forget(self, step: int) -> None:
        """The sidecar's retention does that."""


class Files:
    """What the methods that write files share."""

    def __init__(self, folder: Path, model: Any, optimizer: Any) -> None:
        self._folder = folder
        self._model = model
        self._optimizer = optimizer

    def _state(self) -> dict[str, Any]:
        return {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def _path(self, step: int) -> Path:
        return self._folder / f"{type(self).__name__}-{step}"

    def forget(self, step: int) -> None:
        path = self._path(step)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


class TorchSave(Files):
    """torch.save, then fsync."""

    def save(self, step: int) -> Durable:
        _save_synced(self._state(), self._path(step))
        return at_once


class Safetensors(Files):
    """safetensors.torch.save_file, then fsync."""

    def save(self, step: int) -> Durable:
        named = {str(n): one for n, one in enumerate(tensors_of(self._model, self._optimizer))}
        save_file(named, self._path(step))
        _sync(self._path(step))
        return at_once


class CloneAndThread(Files):
    """Clone every tensor; torch.save and fsync in a thread."""

    def save(self, step: int) -> Durable:
        cloned = _cloned(self._state())
        writing = threading.Thread(target=_save_synced, args=(cloned, self._path(step)))
        writing.start()
        return lambda: not writing.is_alive()


class Dcp(Files):
    """torch.distributed.checkpoint.save with fsync."""

    def save(self, step: int) -> Durable:
        dcp.save(self._state(), storage_writer=_writer(self._path(step)))
        return at_once


class DcpAsync(Files):
    """Its async_save; the stager, and in process mode the process, are kept from save to save."""

    kind = AsyncCheckpointerType.THREAD
    shared = False

    def __init__(self, folder: Path, model: Any, optimizer: Any) -> None:
        super().__init__(folder, model, optimizer)
        _join_alone(folder)
        options = StagingOptions(
            use_pinned_memory=False,
            use_shared_memory=self.shared,
            use_async_staging=False,
            use_non_blocking_copy=False,
        )
        self._stager = DefaultStager(options)

    def save(self, step: int) -> Durable:
        future = dcp.async_save(
            self._state(),
            storage_writer=_writer(self._path(step)),
            async_checkpointer_type=self.kind,
            async_stager=self._stager,
        )

        def done() -> bool:
            if future.done():
                future.result()
            return bool(future.done())

        return done


class DcpThread(DcpAsync):
    """In a thread of the trainer."""


class DcpProcess(DcpAsync):
    """In a process beside it, by shared memory."""

    kind = AsyncCheckpointerType.PROCESS
    shared = True


def rivals(folder: Path, model: Any, optimizer: Any) -> dict[str, Callable[[], Method]]:
    """The methods by their names in the report, made when they are first used."""
    kinds: dict[str, Callable[[Path, Any, Any], Method]] = {
        "torch.save": TorchSave,
        "safetensors": Safetensors,
        "clone + thread": CloneAndThread,
        "DCP save": Dcp,
        "DCP async, thread": DcpThread,
        "DCP async, process": DcpProcess,
    }
    return {name: partial(kind, folder, model, optimizer) for name, kind in kinds.items()}


def _writer(path: Path) -> Any:
    return dcp.FileSystemWriter(path, sync_files=True)


def _join_alone(folder: Path) -> None:
    """A group of this process only: the asynchronous modes ask for one."""
    if not dist.is_initialized():
        os.environ.update(MASTER_ADDR="127.0.0.1", LOCAL_RANK="0")
        store = dist.FileStore(str(folder / "group"), 1)
        dist.init_process_group("gloo", store=store, rank=0, world_size=1)


def _save_synced(state: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cloned(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _cloned(item) for key, item in value.items()}
    return [_cloned(item) for item in value] if isinstance(value, list) else value
