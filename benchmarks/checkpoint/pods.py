"""A trainer beside a real sidecar, as they are in a pod, without Kubernetes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.sidecar import BUCKET, PodFolder, SidecarProcess, a_pod
from kit.stores import S3Server

from benchmarks.checkpoint.sink import store_at
from benchmarks.kit.benchmark import Circumstances
from benchmarks.kit.process import MIB
from benchmarks.kit.worker import Json, Worker, a_worker

SELDOM = 1e6
"""Seconds between saves that nobody asks for: none, while a benchmark lasts."""
ROOM = 1.05
"""An arena is a little larger than its state: header, typed state."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The two processes, and the folder that they share."""

    folder: PodFolder
    sidecar: SidecarProcess
    trainer: Worker

    def save(self) -> Json:
        """Save once, and wait for the commit."""
        return self.trainer.ask("save", method="ours")


def a_trainer(
    around: Circumstances, folder: Path, environment: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[Worker]:
    """A worker with torch and the SDK."""
    folder.mkdir(parents=True, exist_ok=True)
    return a_worker(
        "benchmarks.checkpoint.trainer", around.root, folder / "trainer.log", environment
    )


@contextlib.contextmanager
def a_granted_pod(
    around: Circumstances,
    name: str,
    *,
    state: tuple[str, int],
    arenas: int,
    server: S3Server | None = None,
    volume: Path | None = None,
) -> Iterator[Pod]:
    """A pod whose trainer has begun from zero with this kind of state, of so many MiB."""
    kind, mib = state
    with a_waiting_pod(
        around, name, staging=int(arenas * (mib * ROOM + 8)) * MIB, server=server, volume=volume
    ) as pod:
        pod.folder.grant()
        pod.trainer.ask("build", kind=kind, mib=mib)
        pod.trainer.ask("resume")
        pod.trainer.ask("step")
        pod.trainer.ask("methods", folder=str(around.disk))
        yield pod


@contextlib.contextmanager
def a_waiting_pod(
    around: Circumstances,
    name: str,
    *,
    staging: int,
    attempt: int = 1,
    server: S3Server | None = None,
    volume: Path | None = None,
) -> Iterator[Pod]:
    """A pod that waits for its grant; nothing is built yet. `staging` are bytes."""
    store = store_at(server, BUCKET) if server else {"volume": {"mount": str(volume), "path": ""}}
    folder = around.memory / name
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)  # its arenas take memory
        pod = stack.enter_context(
            a_pod(folder, attempt=attempt, store=store, interval=SELDOM, stagingBytes=staging)
        )
        sidecar = stack.enter_context(pod.sidecar())
        environment = {
            "SPOT_SOCKET": str(pod.socket), "SPOT_ATTEMPT": str(attempt), "SPOT_RANK": "0"
        }  # fmt: skip
        yield Pod(pod, sidecar, stack.enter_context(a_trainer(around, folder, environment)))
