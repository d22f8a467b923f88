"""Trainers of Hugging Face and Lightning in pods whose sidecars and bucket are real.

Attempt 1 is lost with its node, attempt 2 is warned, attempt 3 completes: sidecars and trainers are
processes, the server is versitygw. The end is that of a training which nobody disturbed.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from kit.killed_uploads import newest
from kit.sidecar import BUCKET, PodFolder, a_pod, eventually, lineage_store
from kit.stores import S3Server, s3_server
from kit.torch_trainers.common import EPOCH_STEPS, State, expect_same_bits
from kit.zygote import Child, Zygote
from spot_training.checkpoint import keys, verify

Json = dict[str, Any]
EPOCHS = 12
"""So many that a busy machine sees a commit before the training is over."""


@dataclass(slots=True)
class Training:
    """A trainer's process in a pod, and what it says."""

    child: Child
    log: Path
    result: Path

    def steps(self) -> list[int]:
        """The steps it made, in order."""
        said = self.log.read_text()
        return [int(step) for step in re.findall(r"^step (\d+)$", said, re.MULTILINE)]

    def expect_end(self) -> None:
        """It leaves with 0."""
        assert self.child.wait(60) == 0, self.log.read_text()

    def weights(self) -> State:
        """Model and optimizer as they were at its completion."""
        return dict(torch.load(self.result))


@dataclass(slots=True)
class Job:
    """The attempts of one job, one after the other, each in a folder of its own."""

    zygote: Zygote
    folder: Path
    s3: S3Server
    program: str
    settings: Json

    def expect_loss_behind_a_commit(self) -> Json:
        """The node of attempt 1 goes without a word; returns the newest commit."""
        with self.pod(1) as pod, pod.sidecar() as sidecar:
            pod.grant()
            training = self.training(pod, pause=0.1)
            eventually("a commit within an epoch", self.is_within_an_epoch, seconds=60)
            training.child.kill()
            sidecar.kill()
        assert pod.last_word()["word"] is None
        return newest(self.s3)

    def expect_pause(self, before: Json) -> Json:
        """Attempt 2 is warned, and commits the step that it has done; returns that commit."""
        with self.pod(2) as pod, pod.sidecar() as sidecar:
            pod.grant(newest=before)
            training = self.training(pod, pause=0.1)
            eventually("three steps", lambda: training.steps()[2:], seconds=60)
            pod.preempt()
            training.expect_end()
            assert sidecar.terminate() == 0
        steps = training.steps()
        assert steps == list(range(before["step"] + 1, steps[-1] + 1))
        word = pod.last_word()
        assert word["word"] == "Paused"
        assert word["reason"] == f"Preempt from operator: step {steps[-1]} is committed"
        assert newest(self.s3) == {key: word["commit"][key] for key in ("attempt", "step", "id")}
        return newest(self.s3)

    def expect_completion(self, before: Json) -> State:
        """Attempt 3 does what is left; returns what it ended with."""
        with self.pod(3) as pod, pod.sidecar() as sidecar:
            pod.grant(newest=before)
            training = self.training(pod, pause=0.0)
            training.expect_end()
            assert sidecar.terminate() == 0
        assert training.steps() == list(range(before["step"] + 1, EPOCHS * EPOCH_STEPS + 1))
        assert pod.last_word()["word"] == "Finished"
        assert lineage_store(self.s3).list(keys.MARKERS) == (keys.marker(3),)
        return training.weights()

    def undisturbed(self) -> State:
        """What the same training ends with on a local directory."""
        training = self.start(self.folder / "whole", pause=0.0, environment={})
        training.expect_end()
        return training.weights()

    def pod(self, attempt: int) -> AbstractContextManager[PodFolder]:
        return a_pod(self.folder / str(attempt), s3=self.s3, attempt=attempt, interval=0.3)

    def training(self, pod: PodFolder, *, pause: float) -> Training:
        environment = {
            "SPOT_SOCKET": str(pod.socket),
            "SPOT_ATTEMPT": str(pod.config["attempt"]),
            "SPOT_RANK": "0",
        }
        return self.start(pod.folder, pause=pause, environment=environment)

    def start(self, folder: Path, *, pause: float, environment: dict[str, str]) -> Training:
        folder.mkdir(exist_ok=True)
        log, result = folder / "trainer.log", folder / "result.pt"
        log.touch()  # the process opens it a moment later
        usual = {"SPOT_DIR": str(folder / "run"), "PATH": os.environ["PATH"]}
        usual |= {"HOME": str(folder), "TMPDIR": str(folder), "HF_HUB_OFFLINE": "1"}
        options = json.dumps({"result": str(result), "pause": pause, **self.settings})
        child = self.zygote.start(self.program, [options], env=usual | environment, log=log)
        return Training(child, log, result)

    def is_within_an_epoch(self) -> bool:
        """Whether the newest commit is."""
        known = lineage_store(self.s3).list(keys.COMMITS)
        return bool(known) and newest(self.s3)["step"] % EPOCH_STEPS > 0


@pytest.mark.parametrize(("framework", "epochs"), [
    ("huggingface", "num_train_epochs"), ("lightning", "epochs"),
])  # fmt: skip
def test_lost_warned_and_completed_a_job_ends_with_the_same_bits(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    zygote: Zygote,
    framework: str,
    epochs: str,
) -> None:
    program = f"kit.torch_trainers.{framework}:main"
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        s3.make_bucket(BUCKET)
        job = Job(zygote, tmp_path, s3, program, {epochs: EPOCHS})
        lost = job.expect_loss_behind_a_commit()
        paused = job.expect_pause(lost)
        weights = job.expect_completion(paused)
        final = verify.read_manifest(lineage_store(s3), newest(s3)["id"])
    assert final.parent == paused["id"]
    expect_same_bits(weights, job.undisturbed())
