"""Whole attempts: a real trainer, a real sidecar, a real S3 server, one after the other."""

from __future__ import annotations

import contextlib
import random
import signal
from pathlib import Path

import pytest
from kit.sidecar import JOB, a_pod, eventually, lineage_store
from kit.stores import S3Server
from kit.trainer_process import a_trainer
from spot_training.checkpoint import keys, selection, verify

STEPS = 30
LONG = 500
"""Steps of a trainer that is not done before a loaded machine has started a sidecar four times."""


def uninterrupted(folder: Path, s3: S3Server) -> float:
    """The result of the same training without any interruption, as a job of its own."""
    job = {**JOB, "uid": "uninterrupted"}
    with a_pod(folder, s3=s3, job=job) as pod, pod.sidecar():
        pod.grant()
        with a_trainer(pod, steps=STEPS) as trainer:
            assert trainer.ended() == 0
            return trainer.final()


def commits(s3: S3Server) -> list[tuple[int, int]]:
    """(attempt, step) of every commit, newest first."""
    found = (keys.parse_commit(key) for key in lineage_store(s3).list(keys.COMMITS))
    return [(one.attempt, one.step) for one in found if one]


def test_a_noticed_attempt_pauses_and_the_next_one_replays_nothing(
    folder: Path, s3: S3Server
) -> None:
    with a_pod(folder / "1", s3=s3) as pod, pod.sidecar() as sidecar:
        pod.grant()
        with a_trainer(pod, steps=STEPS) as trainer:
            trainer.reached(5)
            pod.preempt()
            assert trainer.ended() == 0
            made = trainer.steps()
        assert sidecar.terminate() == 0
        word = pod.last_word()
        report = pod.operator.reports[-1] if pod.operator else {}
    assert word["word"] == "Paused"
    assert word["commit"]["step"] == made[-1]
    assert report["state"] == "Ended"
    assert report["commit"]["reason"] == "notice"
    assert commits(s3)[0] == (1, made[-1])

    newest = {key: word["commit"][key] for key in ("attempt", "step", "id")}
    with a_pod(folder / "2", s3=s3, attempt=2, highWaterStep=made[-1]) as pod:
        pod.grant(newest=newest)
        with pod.sidecar() as sidecar, a_trainer(pod, steps=STEPS) as trainer:
            assert trainer.ended() == 0
            assert trainer.steps() == list(range(made[-1] + 1, STEPS + 1))
            result = trainer.final()
            assert sidecar.terminate() == 0
        assert pod.last_word()["word"] == "Finished"
        final = pod.operator.reports[-1] if pod.operator else {}
    assert final["resume"]["from"] == newest
    assert final["replayedSteps"] == 0
    assert lineage_store(s3).list(keys.MARKERS) == (keys.marker(2),)
    store = lineage_store(s3)
    for attempt, step in commits(s3):
        assert attempt in {1, 2}
        assert step <= STEPS
    newest_id = str(keys.parse_commit(store.list(keys.COMMITS)[0]))
    assert verify.read_manifest(store, newest_id).parent == newest["id"]

    assert result == uninterrupted(folder / "reference", s3)


def test_a_killed_trainer_loses_nothing_that_it_had_handed_over(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, interval=0.2) as pod, pod.sidecar() as sidecar:
        pod.grant()
        with a_trainer(pod, steps=1000, size=200_000) as trainer:
            trainer.reached(40)
            trainer.process.send_signal(signal.SIGKILL)
            trainer.ended()
        assert sidecar.terminate() == 0
        word = pod.last_word()
    assert word["word"] is None
    assert word["commit"]["step"] == commits(s3)[0][1] > 0


def test_a_killed_sidecar_goes_on_with_the_same_snapshots(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, interval=0.2) as pod:
        pod.grant()
        with pod.sidecar() as first, a_trainer(pod, steps=150, size=500_000) as trainer:
            trainer.reached(20)
            first.kill()
            with pod.sidecar() as second:
                assert trainer.ended() == 0
                assert trainer.steps() == list(range(1, 151))
                assert second.terminate() == 0
        report = pod.operator.reports[-1] if pod.operator else {}
    assert pod.last_word()["word"] == "Finished"
    assert report["resume"]["decision"] == "fresh"
    assert commits(s3)[0] == (1, 150)


def test_a_finished_job_is_not_trained_again(folder: Path, s3: S3Server) -> None:
    with a_pod(folder / "1", s3=s3) as pod, pod.sidecar():
        pod.grant()
        with a_trainer(pod, steps=STEPS) as trainer:
            assert trainer.ended() == 0
    with a_pod(folder / "2", s3=s3, attempt=2) as pod:
        pod.grant()
        with pod.sidecar() as sidecar, a_trainer(pod, steps=STEPS) as trainer:
            assert trainer.ended() == 0
            assert trainer.steps() == []
            assert sidecar.terminate() == 0
        assert pod.last_word()["word"] == "Finished"
        report = pod.operator.reports[-1] if pod.operator else {}
        assert report["resume"]["decision"] == "completed"


def test_without_a_grant_nothing_is_claimed(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3) as pod, pod.sidecar() as sidecar:
        answer = sidecar.ask("POST", "/v1/resume", {"process": 0, "wait": 0.5})
        assert answer.status == 202
        assert "granted" in answer.body["why"]
        pod.annotate(grant={"attempt": 7, "newest": None, "suspects": [], "startFresh": False})
        assert sidecar.ask("POST", "/v1/resume", {"process": 0, "wait": 1.5}).status == 202
        assert list(s3.data.rglob("*.json")) == []
        pod.grant()
        answer = sidecar.ask("POST", "/v1/resume", {"process": 0, "wait": 20})
        assert answer.body == {"decision": "fresh"}
        eventually("the claim", lambda: lineage_store(s3).list(keys.CLAIMS) or None)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_the_sidecar_loses_no_step(
    folder: Path, s3: S3Server, seed: int
) -> None:
    chance = random.Random(seed)
    with a_pod(folder, s3=s3, interval=0.1) as pod, contextlib.ExitStack() as stack:
        pod.grant()
        sidecar = stack.enter_context(pod.sidecar())
        trainer = stack.enter_context(a_trainer(pod, steps=LONG, size=200_000))
        for _ in range(4):
            trainer.reached(len(trainer.steps()) + chance.randint(1, 25))
            sidecar.kill()
            sidecar = stack.enter_context(pod.sidecar())
        assert trainer.ended() == 0
        assert trainer.steps() == list(range(1, LONG + 1))
        assert sidecar.terminate() == 0
        report = pod.operator.reports[-1] if pod.operator else {}
    assert pod.last_word()["word"] == "Finished"
    assert report["commit"]["step"] == LONG
    store = lineage_store(s3)
    for key in store.list(keys.COMMITS):
        verdict = verify.verdict(store, str(keys.parse_commit(key)), node="any")
        assert isinstance(verdict, selection.Good)
