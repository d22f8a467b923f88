"""The report as the sidecar builds it, read by the operator's own schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.clock import EPOCH
from kit.sidecar import a_pod
from spot_operator.api.job import CheckpointSpec
from spot_operator.domain.accounts.hazard import Hazard
from spot_operator.domain.actions import CreatePod, Grant
from spot_operator.domain.state.ledger import Checkpoints, Ledger
from spot_operator.domain.state.status import ledger_of, status_of
from spot_operator.render.pacing import pacing as rendered
from spot_operator.render.pacing import start_interval
from spot_operator.reports.schema import MAX_REPORT_BYTES, Report
from spot_operator.reports.view import view_of
from spot_sidecar.base.clock import SystemClock
from spot_sidecar.config.spot_config import Pacing as PacingSettings
from spot_sidecar.config.spot_config import Settings
from spot_sidecar.interval import costs
from spot_sidecar.interval.pacing import Pacing, measured_before
from spot_sidecar.notices.health import Health
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.operator_link.report import Turn, build_report
from spot_sidecar.state.attempt_state import AttemptState, CommitSeen, Origin, Resumed
from spot_sidecar.state.oom_kills import Counters, Kills
from spot_sidecar.state.time_buckets import TimeBuckets


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with a_pod(tmp_path, attempt=3, with_operator=False) as pod:
        return pod.settings()


def as_read(attempt_state: AttemptState, settings: Settings) -> Report:
    body = json.dumps(build_report(attempt_state, settings.config, settings.pod, Turn("run-1", 5)))
    assert len(body) < MAX_REPORT_BYTES
    return Report.model_validate_json(body)


def test_an_empty_one(settings: Settings) -> None:
    report = as_read(AttemptState(SystemClock(), 3, EPOCH), settings)
    assert (report.attempt, report.rank, report.sequence) == (3, 0, 5)
    assert (report.job, report.job_uid, report.pod_uid) == ("digits", "uid-of-digits", "pod-uid-1")
    assert report.state == "Waiting"
    assert not report.settled


def test_a_full_one(settings: Settings) -> None:
    attempt_state = AttemptState(SystemClock(), 3, EPOCH, state="Draining")
    attempt_state.trainer.step, attempt_state.trainer.busy = 400, "eval"
    attempt_state.trainer.last_step_at = EPOCH
    attempt_state.seconds = TimeBuckets(1, 2, 3, 4, 5, 6)
    attempt_state.replayed_steps = 7
    attempt_state.settled = True
    attempt_state.kills = Kills(Counters(1, 2), 2**30, 0.25)
    attempt_state.resumed = Resumed("checkpoint", Origin(2, 390, "x"), 1.5, EPOCH)
    attempt_state.commit = CommitSeen(Origin(3, 400, "y"), 10, EPOCH, 0.5, 0.1, "notice")
    attempt_state.notice = Notice(Kind.Preempt, "imds", EPOCH, EPOCH, "raw")
    attempt_state.told_at = EPOCH
    attempt_state.sources["imds"] = Health(healthy=False, detail="no answer")
    attempt_state.say("Paused", "node is going")
    attempt_state.meet("StoreUnreachable", "no route")
    for number in range(100):
        attempt_state.quarantine(f"id-{number}", "flipped")
    report = as_read(attempt_state, settings)
    assert report.trainer.busy == "eval"
    assert view_of(report, age=0.0, step_age=0.0).settled
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


def test_the_interval_goes_round(settings: Settings) -> None:
    """What a sidecar measured is what the next attempt's is told, through report and status."""
    known = {
        "stallSeconds": 0.5, "commitLatencySeconds": 12.0, "commitOverheadSeconds": 2.0,
        "stateBytes": 1000, "uploadBytesPerSecond": 100.0, "saves": 5, "slowdown": 0.1,
        "stepSeconds": 0.25,
    }  # fmt: skip
    told = {"adaptive": True, "maxLostWork": 90.0, "incidents": 2.0, "exposureHours": 48.0}
    pacing = Pacing(300.0, PacingSettings(**told, savedShare=0.25, measured=known), lambda: 2.0)
    attempt_state = AttemptState(SystemClock(), 3, EPOCH)
    attempt_state.interval = pacing.to_json()
    view = view_of(as_read(attempt_state, settings), age=0.0, step_age=0.0)
    ledger = Ledger(checkpoint=Checkpoints(interval=view.interval))
    kept = ledger_of(json.loads(json.dumps(status_of(ledger)))).checkpoint.interval
    assert kept is not None
    assert kept.why == "MaxLostWork"
    assert kept.seconds == pytest.approx(90.0 - 0.5 - 12.0 - 0.25)
    assert kept.inputs.interruptions_per_hour == pytest.approx(2.0 / 50.0)
    assert kept.bounds.max_lost_work == 90.0
    grant = Grant(attempt=4, newest=None)
    again = CreatePod(attempt=4, rank=0, grant=grant, hazard=Hazard(3.0, 50.0, 0.3), interval=kept)
    checkpoint = CheckpointSpec.model_validate({"store": {"s3": {"bucket": "checkpoints"}}})
    assert start_interval(checkpoint, again) == kept.seconds
    read = PacingSettings.model_validate(rendered(checkpoint, again))
    assert (read.adaptive, read.incidents, read.exposure_hours) == (True, 3.0, 50.0)
    assert read.measured is not None
    assert costs.to_json(measured_before(read.measured)) == known
