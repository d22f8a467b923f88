"""A slow way to the store, an upload under way, and a notice: what is in the store at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kit.raw_trainer import acquire, begin, expect_state, fill, provide, state, submit
from kit.sidecar import PodFolder, SidecarProcess, a_pod, eventually, lineage_store
from kit.slow_proxy import SlowProxy, slow_proxy
from kit.stores import S3Server
from kit.trainer_process import a_trainer
from spot_training.backends.session import Session
from spot_training.checkpoint import keys

NUMBERS = 1_500_000
BYTES = 8 * NUMBERS
RATE = 2e6
"""Bytes per second: a snapshot takes six seconds."""
MEASURED = {
    "stallSeconds": 0.05,
    "commitLatencySeconds": 6.5,
    "commitOverheadSeconds": 0.5,
    "stateBytes": BYTES,
    "uploadBytesPerSecond": RATE,
    "saves": 5,
}


@dataclass(slots=True)
class Scene:
    """A pod whose first snapshot, of step 1, is on its slow way."""

    pod: PodFolder
    sidecar: SidecarProcess
    proxy: SlowProxy
    store: Any
    first: str

    def hear(self, seconds: float) -> dict[str, Any]:
        """A notice with so many seconds, and what the sidecar makes of it."""
        self.pod.preempt(seconds)
        eventually("heard", lambda: "Preempt" in self.sidecar.get("/metrics")[1])
        body = {"process": 0, "seconds": seconds - 1.0}
        return dict(self.sidecar.ask("POST", "/v1/flush", body).body)

    def save(self, step: int) -> str:
        """A last save."""
        index = acquire(self.sidecar, "notice")
        return submit(self.sidecar, fill(self.sidecar, index, step, NUMBERS), "notice")

    def committed(self) -> list[int]:
        found = (keys.parse_commit(key) for key in self.store.list(keys.COMMITS))
        return sorted(one.step for one in found if one)


@pytest.fixture
def scene(folder: Path, s3: S3Server) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(slow_proxy(s3.port, None))
        pod = stack.enter_context(a_pod(folder, s3=s3, pacing={"measured": MEASURED}))
        pod.config["store"]["s3"]["endpointURL"] = proxy.url
        pod.grant()
        sidecar = stack.enter_context(pod.sidecar())
        assert begin(sidecar) == {"decision": "fresh"}
        provide(sidecar, NUMBERS)
        facts = fill(sidecar, acquire(sidecar), 1, NUMBERS)
        proxy.rate = RATE
        first = submit(sidecar, facts)
        expect_state(sidecar, first, "uploading")
        yield Scene(pod, sidecar, proxy, lineage_store(s3), first)


def test_the_upload_under_way_gives_way_to_a_last_save(scene: Scene) -> None:
    answer = scene.hear(12.0)
    assert (answer["save"], answer["plan"]) == (True, "before")
    last = scene.save(2)
    assert state(scene.sidecar, last, wait=11) == "committed"
    assert state(scene.sidecar, scene.first) == "superseded"
    assert scene.committed() == [2]


def test_both_are_brought_in_if_there_is_time(scene: Scene) -> None:
    answer = scene.hear(120.0)
    assert (answer["save"], answer["plan"]) == (True, "after")
    last = scene.save(2)
    scene.proxy.rate = None
    assert state(scene.sidecar, last, wait=20) == "committed"
    assert scene.committed() == [1, 2]


def test_the_upload_under_way_is_kept_if_a_last_save_does_not_fit(scene: Scene) -> None:
    answer = scene.hear(5.0)
    assert (answer["save"], answer["plan"]) == (False, "keep")
    assert "there is not enough time: a last save takes 6.5 s" in answer["why"]
    scene.proxy.rate = None
    expect_state(scene.sidecar, scene.first, "committed")
    assert scene.committed() == [1]
    operator = scene.pod.operator
    assert operator is not None
    eventually(
        "the event",
        lambda: any(
            event["reason"] == "LastSaveSkipped" and "step 1, under way" in event["message"]
            for report in operator.reports
            for event in report["events"]
        ),
    )


def test_a_paused_upload_goes_on_if_the_last_save_is_lost(scene: Scene) -> None:
    """What pushed it aside turns out to be torn: the older one is still there."""
    scene.hear(12.0)
    index = acquire(scene.sidecar, "notice")
    facts = fill(scene.sidecar, index, 2, NUMBERS)
    fill(scene.sidecar, index, 3, NUMBERS)
    last = submit(scene.sidecar, facts, "notice")
    expect_state(scene.sidecar, last, "failed")
    scene.proxy.rate = None
    expect_state(scene.sidecar, scene.first, "committed")
    assert scene.committed() == [1]


def test_a_trainer_keeps_its_last_checkpoint_if_a_last_save_does_not_fit(
    folder: Path, s3: S3Server
) -> None:
    """A whole trainer: it asks, takes no snapshot, and says so as it pauses."""
    huge = {**MEASURED, "uploadBytesPerSecond": 1000.0, "stateBytes": 10**6}
    with a_pod(folder, s3=s3, interval=3600.0, pacing={"measured": huge}) as pod:
        pod.grant()
        with pod.sidecar() as sidecar, a_trainer(pod, steps=10**6) as trainer:
            trainer.reached(5)
            pod.preempt(seconds=20)
            assert trainer.ended() == 0
            assert sidecar.terminate() == 0
        assert lineage_store(s3).list(keys.COMMITS) == ()
        word = pod.last_word()
        assert word["word"] == "Paused"
        assert "not enough time to commit step" in word["reason"]
        assert "there is not enough time: a last save takes" in trainer.output.read_text()


def test_an_upload_held_back_goes_at_full_speed_once_a_notice_comes(
    folder: Path, s3: S3Server
) -> None:
    slowed = {**MEASURED, "uploadBytesPerSecond": 1e9, "slowdown": 0.2}
    config: dict[str, Any] = {"pacing": {"measured": slowed}, "stagingBytes": 160 * 2**20}
    with a_pod(folder, s3=s3, **config) as pod, pod.sidecar() as sidecar:
        pod.grant()
        begin(sidecar)
        size = 5 * 2**20  # three parts
        provide(sidecar, size)
        first = submit(sidecar, fill(sidecar, acquire(sidecar), 1, size))
        expect_state(sidecar, first, "committed")
        assert "held_back_total 0.0" in sidecar.get("/metrics")[1]
        held = submit(sidecar, fill(sidecar, acquire(sidecar), 2, size))
        eventually("held back", lambda: "held_back_total 1.0" in sidecar.get("/metrics")[1])
        assert state(sidecar, held, wait=2) == "uploading"
        now = datetime.now(UTC).isoformat()
        notice = {"kind": "Rebalance", "deadline": None, "source": "test", "observedAt": now}
        pod.annotate(notice=notice)
        assert state(sidecar, held, wait=20) == "committed"


def test_the_interval_follows_the_saves_and_outlives_a_restart(folder: Path, s3: S3Server) -> None:
    pacing = {"adaptive": True, "maxLostWork": 40.0}
    with a_pod(folder, s3=s3, pacing=pacing) as pod:
        pod.grant()
        with pod.sidecar() as sidecar, contextlib.closing(Session(pod.socket, 0)) as session:
            assert session.greeting().pace.interval == 300.0
            begin(sidecar)
            provide(sidecar)
            snapshot = submit(sidecar, fill(sidecar, acquire(sidecar), 1))
            expect_state(sidecar, snapshot, "committed")
            eventually("told", lambda: (session.pace or session.greeting().pace).interval < 40.0)
            assert session.pace is not None
            assert session.pace.cost is not None
            decided = session.pace.interval
            shown = sidecar.get("/metrics")[1]
            assert f"spot_checkpoint_interval_seconds {round(decided, 3)}" in shown
            assert 'spot_checkpoint_interval_input{input="commitLatencySeconds"}' in shown
        with pod.sidecar(), contextlib.closing(Session(pod.socket, 0)) as session:
            assert session.greeting().pace.interval == pytest.approx(decided)
