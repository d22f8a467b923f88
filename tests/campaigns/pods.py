"""The processes of a campaign's pods: a real sidecar and a real trainer, forked off a zygote."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaigns.oracle import Order
from kit.sidecar import PodFolder
from kit.zygote import Child, Zygote

Json = dict[str, Any]
WAIT_SECONDS = 60.0
PRELOADED = (
    "boto3", "numpy", "spot_sidecar.__main__", "spot_training.checkpoint.stores.s3",
    "spot_training.backends.sidecar", "campaigns.trainer", "awscrt.checksums",
)  # fmt: skip


class WrongError(AssertionError):
    """The world is not as it was promised."""


@dataclass(slots=True)
class Attempt:
    """A pod with its processes."""

    number: int
    pod: PodFolder
    sidecar: Child
    trainer: Child
    lower: Order | None
    """The newest valid checkpoint before the attempt was granted."""
    judged: bool = False

    def lines(self) -> list[Json]:
        """What the trainer has said."""
        path = self.pod.folder / "trainer.log"
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def said(self, event: str) -> Json | None:
        return next((line for line in self.lines() if line["event"] == event), None)


def start_sidecar(
    zygote: Zygote, pod: PodFolder, program: str = "spot_sidecar.__main__:main"
) -> Child:
    """The pod's sidecar, or another program in its place; it may not be healthy yet."""
    (pod.shared / "sidecar.sock").unlink(missing_ok=True)
    env = {**_inherited(), **pod.environment(), "AWS_EC2_METADATA_DISABLED": "true"}
    return zygote.start(program, (), env=env, log=pod.folder / "sidecar.log")


def start_trainer(zygote: Zygote, pod: PodFolder, argv: Sequence[str]) -> Child:
    """The pod's trainer; see `campaigns.trainer` for its arguments."""
    env = {
        **_inherited(),
        "SPOT_SOCKET": str(pod.socket),
        "SPOT_ATTEMPT": str(pod.config["attempt"]),
        "SPOT_RANK": str(pod.config["rank"]),
    }
    return zygote.start("campaigns.trainer:main", argv, env=env, log=pod.folder / "trainer.log")


def expect_healthy(pod: PodFolder, sidecar: Child) -> None:
    """The startup probe."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if sidecar.poll() is not None:
            raise WrongError(f"the sidecar ended: {tail(pod.folder / 'sidecar.log')}")
        if _healthy(pod.port):
            return
        time.sleep(0.005)
    raise WrongError("the sidecar did not become healthy")


def tail(path: Path, size: int = 3000) -> str:
    """The end of a log."""
    return path.read_text()[-size:] if path.exists() else ""


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _inherited() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("SPOT_")}
