"""The preStop hook: it holds SIGTERM back until the state is safe, and never longer than it may."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from kit.sidecar import SidecarProcess, a_pod, eventually, lineage_store
from kit.stores import S3Server
from kit.trainer_process import a_trainer
from spot_training.backends.session import Session
from spot_training.checkpoint import keys


def drained_in_background(sidecar: SidecarProcess) -> tuple[threading.Thread, list[object]]:
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(sidecar.drain()))
    thread.start()
    return thread, answers


def test_only_who_knows_the_token_can_drain(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3) as pod, pod.sidecar() as sidecar:
        assert sidecar.get("/v1/drain")[0] == 403
        assert sidecar.get("/v1/drain", {"X-Spot-Drain": "another"})[0] == 403


def test_without_a_process_of_the_sdk_it_returns_at_once_and_announces_nothing(
    folder: Path, s3: S3Server
) -> None:
    with a_pod(folder, s3=s3) as pod, pod.sidecar() as sidecar:
        begun = time.monotonic()
        assert sidecar.drain()[0] == 200
        assert time.monotonic() - begun < 2
        assert not (pod.shared / "notice.json").exists()


def test_it_returns_when_the_trainer_has_paused_and_its_state_is_committed(
    folder: Path, s3: S3Server
) -> None:
    with a_pod(folder, s3=s3) as pod, pod.sidecar() as sidecar:
        pod.grant()
        with a_trainer(pod, steps=10_000, pause=0.05) as trainer:
            trainer.reached(5)
            status, answer = sidecar.drain()
            assert trainer.ended(5) == 0
            last = trainer.steps()[-1]
        assert (status, json.loads(answer)["drained"]) == (
            200,
            "the trainer has ended and its state is safe",
        )
        notice = json.loads((pod.shared / "notice.json").read_text())
        assert (notice["kind"], notice["source"]) == ("PodDeletion", "drain")
        (newest, *_) = lineage_store(s3).list(keys.COMMITS)
        found = keys.parse_commit(newest)
        assert found is not None
        assert found.step == last


def test_a_trainer_that_does_not_listen_is_left_some_of_its_grace(
    folder: Path, s3: S3Server
) -> None:
    with a_pod(folder, s3=s3, graceSeconds=8) as pod, pod.sidecar() as sidecar:
        session = Session(pod.socket, 0)
        session.greeting()
        begun = time.monotonic()
        _, answer = sidecar.drain()
        assert json.loads(answer) == {"drained": "the grace is nearly over"}
        assert 5 < time.monotonic() - begun < 8


def test_every_waiting_hook_returns_when_the_process_dies(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3) as pod, pod.sidecar() as sidecar:
        pod.grant()
        with a_trainer(pod, steps=10_000, pause=5) as trainer:
            eventually(
                "registered",
                lambda: pod.operator and pod.operator.find(lambda r: r["trainer"]["registered"]),
            )
            calls = [drained_in_background(sidecar) for _ in range(2)]
            eventually("the notice", (pod.shared / "notice.json").exists)
            trainer.kill()
            for thread, answers in calls:
                thread.join(10)
                assert [answer[0] for answer in answers] == [200]  # type: ignore[index]
