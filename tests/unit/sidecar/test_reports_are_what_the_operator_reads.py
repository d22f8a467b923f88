"""The report as the sidecar builds it, read by the operator's own schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.clock import EPOCH
from kit.sidecar import a_pod
from spot_operator.reports.schema import MAX_REPORT_BYTES, Report
from spot_sidecar.clock import SystemClock
from spot_sidecar.config import Settings
from spot_sidecar.notices.imds import Health
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.reports.report import build_report
from spot_sidecar.seconds import Seconds
from spot_sidecar.standing import CommitSeen, Origin, Resumed, Standing


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with a_pod(tmp_path, attempt=3, with_operator=False) as pod:
        return pod.settings()


def as_read(standing: Standing, settings: Settings) -> Report:
    body = json.dumps(build_report(standing, settings.config, settings.pod, 5))
    assert len(body) < MAX_REPORT_BYTES
    return Report.model_validate_json(body)


def test_an_empty_one(settings: Settings) -> None:
    report = as_read(Standing(SystemClock(), 3, EPOCH), settings)
    assert (report.attempt, report.rank, report.sequence) == (3, 0, 5)
    assert (report.job, report.job_uid, report.pod_uid) == ("digits", "uid-of-digits", "pod-uid-1")
    assert report.state == "Waiting"


def test_a_full_one(settings: Settings) -> None:
    standing = Standing(SystemClock(), 3, EPOCH, state="Draining")
    standing.trainer.step, standing.trainer.busy = 400, "eval"
    standing.trainer.last_step_at = EPOCH
    standing.seconds = Seconds(1, 2, 3, 4, 5, 6)
    standing.replayed_steps = 7
    standing.resumed = Resumed("checkpoint", Origin(2, 390, "x"), 1.5, EPOCH)
    standing.commit = CommitSeen(Origin(3, 400, "y"), 10, EPOCH, 0.5, 0.1, "notice")
    standing.notice = Notice(Kind.Preempt, "imds", EPOCH, EPOCH, "raw")
    standing.told_at = EPOCH
    standing.sources["imds"] = Health(healthy=False, detail="no answer")
    standing.say("Paused", "node is going")
    standing.meet("StoreUnreachable", "no route")
    for number in range(100):
        standing.quarantine(f"id-{number}", "flipped")
    report = as_read(standing, settings)
    assert report.trainer.busy == "eval"
    assert report.resume is not None
    assert report.resume.source is not None
    assert report.resume.source.step == 390
    assert report.commit is not None
    assert report.commit.reason == "notice"
    assert report.notice is not None
    assert report.notice.told_at == EPOCH
    assert report.word is not None
    assert report.word.word == "Paused"
    assert report.problem is not None
    assert report.seconds.drain == 6
    assert not report.sources["imds"].healthy
    assert len(report.quarantined) == 16
    assert len(report.events) == 32
    assert {event.reason for event in report.events} == {"CheckpointQuarantined"}
