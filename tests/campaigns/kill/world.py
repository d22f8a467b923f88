"""One job's world: a real S3 server, and attempts of a sidecar and a trainer process each.

The world plays kubelet and operator: a container that dies alone is started again in its pod, a
trainer's end ends the pod (its sidecar gets SIGTERM), a pod's end is followed by the next attempt.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaigns.oracle import Bucket, Order
from campaigns.pods import Attempt, WrongError, expect_healthy, start_sidecar, start_trainer
from kit.sidecar import BUCKET, JOB, a_pod
from kit.stores import S3Server, s3_server
from kit.zygote import Zygote
from spot_training.checkpoint import keys

Json = dict[str, Any]
GRACE_SECONDS = 20


@dataclass(slots=True)
class Server:
    """An S3 server that can die and come back on the same port."""

    folder: Path
    stack: contextlib.ExitStack
    running: S3Server

    @classmethod
    def start(cls, folder: Path) -> Server:
        folder.mkdir(parents=True, exist_ok=True)
        stack = contextlib.ExitStack()
        running = stack.enter_context(s3_server(folder))
        running.make_bucket(BUCKET)
        return cls(folder, stack, running)

    def die(self) -> None:
        self.running.process.kill()
        self.running.process.wait(10)

    def come_back(self) -> None:
        self.stack.close()
        self.running = self.stack.enter_context(s3_server(self.folder, port=self.running.port))


@dataclass(slots=True)
class World:
    """The job with its lineage, from its first attempt to its completion."""

    zygote: Zygote
    folder: Path
    server: Server
    uid: str
    size: int
    pause: float
    interval: float
    recorded: Json | None = None
    attempt: Attempt | None = None
    bucket: Bucket = field(init=False)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __post_init__(self) -> None:
        lineage = keys.lineage_prefix("", JOB["namespace"], JOB["name"], self.uid)
        self.bucket = Bucket(self.server.running.data / BUCKET / lineage)

    @property
    def now(self) -> Attempt:
        if self.attempt is None:
            raise WrongError("no attempt has begun")
        return self.attempt

    @property
    def target(self) -> Path:
        """The file that tells the trainer at which step to complete."""
        return self.folder / "target"

    def set_target(self, step: int) -> None:
        draft = self.target.with_suffix(".new")
        draft.write_text(str(step))
        draft.replace(self.target)

    def next_attempt(self) -> None:
        """The operator's next attempt: a pod, its processes, and at once the grant."""
        number = self.attempt.number + 1 if self.attempt else 1
        self.end_pod()
        pod = self.stack.enter_context(
            a_pod(
                self.folder / str(number),
                s3=self.server.running,
                attempt=number,
                job={**JOB, "uid": self.uid},
                interval=self.interval,
                graceSeconds=GRACE_SECONDS,
                stagingBytes=192 * 2**20,
            )
        )
        pod.uid = f"pod-{number}"
        lower = self.bucket.newest(below=number)
        pod.grant(newest=self.recorded)
        sidecar = start_sidecar(self.zygote, pod)
        expect_healthy(pod, sidecar)
        argv = [str(self.size), str(self.pause), str(self.target)]
        trainer = start_trainer(self.zygote, pod, argv)
        self.attempt = Attempt(number, pod, sidecar, trainer, lower)

    def restart_sidecar(self) -> None:
        """The kubelet starts the sidecar's container again, in the same pod."""
        attempt = self.now
        attempt.sidecar = start_sidecar(self.zygote, attempt.pod)
        expect_healthy(attempt.pod, attempt.sidecar)

    def end_pod(self) -> None:
        """What is left of the pod ends; its last words and reports reach the operator."""
        if self.attempt is None:
            return
        self.attempt.trainer.kill()
        self.attempt.sidecar.kill()
        self._hear()
        self.stack.close()
        for name in ("shared", "private"):
            shutil.rmtree(self.attempt.pod.folder / name, ignore_errors=True)

    def drain(self) -> None:
        """The trainer has ended: SIGTERM to the sidecar, which finishes what it can."""
        self.now.sidecar.signal(signal.SIGTERM)
        self.now.sidecar.wait(GRACE_SECONDS + 10)

    def upper(self) -> Order | None:
        """The newest valid checkpoint that this attempt could have resumed from."""
        return self.bucket.newest(below=self.now.number)

    def _hear(self) -> None:
        """The operator's status keeps the newest commit that reports or last words told."""
        pod = self.now.pod
        told = [report["commit"] for report in pod.operator.reports] if pod.operator else []
        with contextlib.suppress(OSError, ValueError):
            told.append(pod.last_word().get("commit"))
        for commit in filter(None, told):
            if self.recorded is None or _order(commit) > _order(self.recorded):
                self.recorded = {key: commit[key] for key in ("attempt", "step", "id")}


@contextlib.contextmanager
def a_world(
    zygote: Zygote, folder: Path, *, uid: str, size: int, pause: float, interval: float
) -> Iterator[World]:
    """A job on a server of its own; nothing of it runs afterwards."""
    server = Server.start(folder / "s3")
    world = World(zygote, folder, server, uid, size, pause, interval)
    try:
        yield world
    finally:
        world.end_pod()
        server.stack.close()


def _order(commit: Json) -> Order:
    return commit["attempt"], commit["step"]
