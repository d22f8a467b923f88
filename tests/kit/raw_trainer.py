"""A trainer in any language: the socket's HTTP API and the files, without the SDK's run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from kit.checkpoints import a_payload
from kit.sidecar import eventually
from spot_training.backends.socket_http import Answer
from spot_training.checkpoint.arena import Arena

Json = dict[str, Any]


class Asked(Protocol):
    """A sidecar on the trainer's socket."""

    def ask(
        self, method: str, target: str, body: Json | None = None, **options: float
    ) -> Answer: ...


def begin(sidecar: Asked) -> Json:
    """Ask what to begin with, for as long as a test may last."""
    answer = sidecar.ask("POST", "/v1/resume", {"process": 0, "wait": 20})
    return dict(answer.body)


def fill(sidecar: Asked, index: int, step: int, size: int = 100) -> Json:
    """Write a snapshot of `size` numbers into an arena; the facts to submit it with."""
    payload = a_payload({"arrays/w": np.full(size, step, dtype="<f8")})
    slots = sidecar.ask("POST", "/v1/arenas", {"process": 0, "bytes": len(payload)}).body["arenas"]
    arena = Arena(Path(slots[index]["path"]))
    try:
        arena.begin(step=step, payload_bytes=len(payload))[:] = payload
        control = arena.finish()
    finally:
        arena.close()
    return {
        "process": 0,
        "arena": index,
        "generation": control.generation,
        "bytes": control.payload_bytes,
        "step": step,
        "samples": step,
        "epoch": 0,
        "stallSeconds": 0.01,
        "takenAt": datetime.now(UTC).isoformat(),
    }


def provide(sidecar: Asked, size: int = 100) -> list[Json]:
    """Ask for arenas that hold a snapshot of `size` numbers."""
    payload = a_payload({"arrays/w": np.zeros(size, dtype="<f8")})
    answer = sidecar.ask("POST", "/v1/arenas", {"process": 0, "bytes": len(payload)})
    return list(answer.body["arenas"])


def acquire(sidecar: Asked, reason: str = "periodic", wait: float = 20) -> int:
    """An arena to write; raises SidecarError (409) if there is none."""
    body = {"process": 0, "reason": reason, "wait": wait}
    return int(sidecar.ask("POST", "/v1/arenas/acquire", body).body["index"])


def submit(sidecar: Asked, facts: Json, reason: str = "periodic") -> str:
    """Hand a written arena over."""
    answer = sidecar.ask("POST", "/v1/snapshots", {**facts, "reason": reason})
    return str(answer.body["snapshot"])


def save(sidecar: Asked, step: int, *, reason: str = "periodic", size: int = 100) -> str:
    """One whole save: provide, acquire, fill, submit."""
    provide(sidecar, size)
    return submit(sidecar, fill(sidecar, acquire(sidecar, reason), step, size), reason)


def state(sidecar: Asked, snapshot: str, wait: float = 0) -> str:
    """How far a snapshot is."""
    return str(sidecar.ask("GET", f"/v1/snapshots/{snapshot}?wait={wait}").body["state"])


def expect_state(sidecar: Asked, snapshot: str, wanted: str) -> None:
    """Wait until the snapshot is there."""
    eventually(wanted, lambda: state(sidecar, snapshot) == wanted)
