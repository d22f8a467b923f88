"""What a report may say, and how it looks to decisions."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.reports import a_notice, a_report, a_report_body
from pydantic import ValidationError
from spot_operator.domain.observed.snapshot import CommitReport, Problem, ReportView, ResumeReport
from spot_operator.domain.state.ledger import CommitRef, Notice, Word
from spot_operator.reports.schema import Report
from spot_operator.reports.view import view_of

Json = dict[str, Any]

FULL = a_report_body(
    attempt=3,
    sequence=17,
    trainer={
        "registered": True,
        "step": 410,
        "samples": 13120,
        "epoch": 2,
        "lastStepAt": "2026-01-01T00:00:30Z",
        "busy": "eval",
    },
    resume={
        "decision": "checkpoint",
        "from": {"attempt": 2, "step": 400, "id": "a00000002-s000000000400-0badcafe"},
        "seconds": 1.5,
        "at": "2026-01-01T00:00:10Z",
    },
    commit={
        "attempt": 3,
        "step": 405,
        "id": "a00000003-s000000000405-0badcafe",
        "bytes": 1024,
        "committedAt": "2026-01-01T00:00:20Z",
        "writeSeconds": 2.5,
        "stallSeconds": 0.1,
        "reason": "periodic",
    },
    commits=4,
    skippedSnapshots=1,
    seconds={
        "startUp": 1.0,
        "restore": 2.0,
        "productive": 3.0,
        "replayed": 4.0,
        "checkpointStall": 5.0,
        "drain": 6.0,
    },
    replayedSteps=5,
    notice=a_notice(raw="terminate", toldAt="2026-01-01T00:00:01Z"),
    word={"word": "Paused", "reason": "notice", "at": "2026-01-01T00:00:40Z"},
    problem={"kind": "StoreDenied", "message": "403", "since": "2026-01-01T00:00:05Z"},
    quarantined=[{"id": "a1", "why": "digest"}],
    events=[
        {"type": "Warning", "reason": "StoreDenied", "message": "m", "at": "2026-01-01T00:00:05Z"}
    ],
    sources={"imds": {"healthy": False, "detail": "timeout"}},
)


def at(second: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 1, 0, minute, second, tzinfo=UTC)


def test_a_full_report_as_decisions_see_it() -> None:
    report = Report.model_validate_json(json.dumps(FULL))
    assert view_of(report, age=3.0, step_age=4.0, word_age=5.0) == ReportView(
        word_age=5.0,
        age=3.0,
        step_age=4.0,
        state="Training",
        registered=True,
        step=410,
        samples=13120,
        epoch=2,
        busy="eval",
        resume=ResumeReport("checkpoint", CommitRef(2, 400, "a00000002-s000000000400-0badcafe")),
        commit=CommitReport(
            ref=CommitRef(3, 405, "a00000003-s000000000405-0badcafe"),
            committed_at=at(20),
            bytes=1024,
            write_seconds=2.5,
        ),
        commits=4,
        seconds={
            "startUp": 1.0,
            "restore": 2.0,
            "productive": 3.0,
            "replayed": 4.0,
            "checkpointStall": 5.0,
            "drain": 6.0,
        },
        notice=Notice("Preempt", at(0, 2), "imds", at(0), "terminate"),
        word=Word("Paused", "notice"),
        problem=Problem("StoreDenied", "403", at(5)),
        quarantined=(("a1", "digest"),),
    )


def test_a_full_report_survives_the_way_there_and_back() -> None:
    report = Report.model_validate_json(json.dumps(FULL))
    again = Report.model_validate_json(report.model_dump_json())
    assert again == report
    assert json.loads(report.model_dump_json())["jobUID"] == FULL["jobUID"]


def test_the_first_report_says_little() -> None:
    view = view_of(a_report(state="Waiting"), age=0.0, step_age=0.0)
    assert (view.resume, view.commit, view.notice, view.word, view.problem) == (None,) * 5


def test_a_newer_sidecars_fields_are_dropped() -> None:
    assert a_report(comet=1, trainer={"registered": True, "step": 1, "tail": 2}).trainer.step == 1


def test_long_texts_are_cut_not_refused() -> None:
    problem = {"kind": "StoreDenied", "message": "x" * 5000, "since": "2026-01-01T00:00:05Z"}
    report = a_report(problem=problem)
    assert report.problem is not None
    assert len(report.problem.message) == 1024


EVENT = {"type": "Normal", "reason": "Saved", "message": "m", "at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2},
        {"attempt": 0},
        {"rank": -1},
        {"podUID": ""},
        {"state": "Dancing"},
        {"startedAt": "2026-01-01T00:00:00"},
        {"trainer": {"registered": True, "step": -1}},
        {"trainer": {"registered": True, "step": 1.5}},
        {"seconds": {"restore": -1}},
        {"seconds": {"restore": "NaN"}},
        {"notice": a_notice("Earthquake")},
        {"events": [EVENT] * 33},
        {"events": [{**EVENT, "reason": "not a reason"}]},
        {"events": [{**EVENT, "type": "Fatal"}]},
        {"quarantined": [{"id": "a", "why": "b"}] * 17},
    ],
    ids=str,
)
def test_nonsense_is_refused(fields: Json) -> None:
    with pytest.raises(ValidationError):
        a_report(**fields)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_instants_beyond_all_reckoning_are_clipped(at: str) -> None:
    notice = {"kind": "Preempt", "deadline": at, "source": "imds", "observedAt": at}
    read = Report.model_validate(a_report_body(notice=notice, startedAt=at)).notice
    assert read is not None
    assert read.deadline is not None
    for one in (read.observed_at, read.deadline):
        assert one.astimezone(UTC) - timedelta(days=1) < one + timedelta(days=1)


@pytest.mark.parametrize("figure", [1.7e308, 1e200, 1e12])
def test_figures_that_nobody_can_reckon_with_are_lowered(figure: float) -> None:
    read = a_report(
        seconds={"productive": figure},
        interval={
            "seconds": figure,
            "why": "",
            "inputs": {"stepSeconds": figure, "uploadBytesPerSecond": figure},
        },
    )
    assert read.seconds.productive == 1e9
    assert read.interval is not None
    assert (read.interval.seconds, read.interval.inputs.step_seconds) == (1e9, 1e9)
    assert read.interval.inputs.upload_bytes_per_second == min(figure, 1e15)


@pytest.mark.parametrize("field", ["commit", "found"])
def test_a_name_that_no_status_can_hold_names_no_checkpoint(field: str) -> None:
    known = {**FULL["commit"], "id": "n" * 64}
    assert a_report(**{field: known})
    with pytest.raises(ValidationError, match=f"{field}.id"):
        a_report(**{field: {**known, "id": "n" * 65}})
