"""A training whose pod, and then whose trainer, is killed while a checkpoint is on its way.

Everything is real: trainers and sidecars are processes, killed with SIGKILL, the server is
versitygw. First the whole pod dies, as with a lost node, and half an upload is nothing; then the
trainer alone, and the upload of what it had handed over is finished.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

from kit.s3_proxy import Asked, S3Proxy, s3_proxy
from kit.sidecar import PodFolder, a_pod, eventually, lineage_store
from kit.stores import S3Server
from kit.trainer_process import TrainerProcess, a_trainer
from spot_training.checkpoint import keys, verify

STEPS = 250
NUMBERS = 4_500_000
"""18 MB of state beside the model's: two parts."""

BEGIN = """
import hashlib, json, sys, time
import numpy as np
import spot_training as spot

steps, pause, size = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])

def tell(**line):
    print(json.dumps(line), flush=True)

def number(*contents):
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return int(digest.hexdigest()[:12], 16)
"""


def expect_the_same_bits(folder: Path, s3: S3Server, program: str) -> None:
    """Three attempts of `program` (the end of a script that BEGIN begins) on an empty bucket, and
    one that nobody disturbs on a local directory, have one result."""
    script = BEGIN + program
    with s3_proxy(s3) as proxy:
        half = expect_half_an_upload_to_be_nothing(folder / "1", s3, proxy, script)
        last = expect_a_handed_over_snapshot_to_be_kept(folder / "2", s3, proxy, script, half)
        result = expect_the_end(folder / "3", s3, proxy, script, last)
    manifest = verify.read_manifest(lineage_store(s3), newest(s3)["id"])
    assert manifest.dataset == {"exact": True}
    assert result == uninterrupted(script, folder / "whole")


def expect_half_an_upload_to_be_nothing(
    folder: Path, s3: S3Server, proxy: S3Proxy, script: str
) -> dict[str, Any]:
    """The node of attempt 1 is lost; returns the newest commit."""
    with the_pod(folder, s3, proxy, 1) as pod:
        pod.grant()
        with pod.sidecar() as sidecar, a_training(pod, script) as trainer:
            with half_an_upload(proxy, s3, attempt=1):
                before = newest(s3)
                trainer.kill()
                sidecar.kill()
            assert trainer.steps()[-1] > before["step"]
    assert newest(s3) == before
    return before


def expect_a_handed_over_snapshot_to_be_kept(
    folder: Path, s3: S3Server, proxy: S3Proxy, script: str, before: dict[str, Any]
) -> dict[str, Any]:
    """The trainer of attempt 2 is killed, its sidecar not; returns the newest commit."""
    with the_pod(folder, s3, proxy, 2) as pod:
        pod.grant(newest=before)
        with pod.sidecar() as sidecar, a_training(pod, script) as trainer:
            begun = eventually("resumed", trainer.lines, seconds=40)[0]
            assert begun["step"] == before["step"]
            with half_an_upload(proxy, s3, attempt=2):
                then = newest(s3)
                trainer.kill()
            assert sidecar.terminate() == 0
    assert newest(s3)["step"] > then["step"]
    return newest(s3)


def expect_the_end(
    folder: Path, s3: S3Server, proxy: S3Proxy, script: str, before: dict[str, Any]
) -> float:
    """Attempt 3 completes; returns its result."""
    with the_pod(folder, s3, proxy, 3) as pod:
        pod.grant(newest=before)
        with pod.sidecar() as sidecar, a_training(pod, script, pause=0.0) as trainer:
            assert trainer.ended(100) == 0
            assert trainer.lines()[0]["step"] == before["step"]
            assert sidecar.terminate() == 0
            result: float = trainer.final()
            return result


@contextlib.contextmanager
def half_an_upload(proxy: S3Proxy, s3: S3Server, *, attempt: int) -> Iterator[None]:
    """Once the attempt has committed, the second part of its next upload waits for our end."""
    released = Event()

    def second_part_waits(asked: Asked) -> None:
        if asked.part == 2:
            released.wait(60)

    def committed() -> bool:
        return bool(lineage_store(s3).list(keys.COMMITS)) and newest(s3)["attempt"] == attempt

    eventually("a commit", committed, seconds=40)
    proxy.fault = second_part_waits
    proxy.forget()
    eventually("half an upload", lambda: {1, 2} <= set(proxy.parts_sent()), seconds=40)
    try:
        yield
    finally:
        proxy.fault = lambda _asked: None
        released.set()


@contextlib.contextmanager
def the_pod(folder: Path, s3: S3Server, proxy: S3Proxy, attempt: int) -> Iterator[PodFolder]:
    with a_pod(folder, s3=s3, attempt=attempt, interval=0.2) as pod:
        pod.config["store"]["s3"]["endpointURL"] = proxy.url
        yield pod


def a_training(pod: PodFolder, script: str, *, pause: float = 0.03) -> Any:
    return a_trainer(pod, script=script, steps=STEPS, pause=pause, size=NUMBERS)


def uninterrupted(script: str, folder: Path) -> float:
    """The result of the same script on a local directory."""
    folder.mkdir()
    environment = os.environ | {
        "SPOT_DIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(STEPS), "0", str(NUMBERS)],
        env=environment, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    (folder / "log").write_text(done.stdout)
    return TrainerProcess(None, folder / "log").final()  # type: ignore[arg-type]  # it has ended


def newest(s3: S3Server) -> dict[str, Any]:
    """The newest commit, as the operator's status knows it."""
    (found, *_) = lineage_store(s3).list(keys.COMMITS)
    known = keys.parse_commit(found)
    assert known is not None
    return {"attempt": known.attempt, "step": known.step, "id": str(known)}
