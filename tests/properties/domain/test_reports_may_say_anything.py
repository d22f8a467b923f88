"""A sidecar's report is a pod's word: any figure that the format takes leaves the job whole."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.builders import a_job, a_pod, at_work, exited, later, persisted, running
from kit.reports import a_report_body
from spot_operator.domain.observed.snapshot import Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.status import ledger_of, status_of
from spot_operator.reports.schema import Report
from spot_operator.reports.view import view_of

LARGEST = 2**63 - 1
counts = st.sampled_from([0, 1, 11, 10**6, 2**53 + 1, LARGEST])
seconds = st.sampled_from([0.0, 1e-300, 0.5, 60.0, 1e9, 1e15, 1e200, 1.7e308])
measured = st.none() | seconds
texts = st.sampled_from(["", "Finished", "Paused", "Refused", "\x00", "é" * 2000, "\u2028\n{}"])
instants = st.sampled_from(
    ["0001-01-01T00:00:00Z", "2026-03-01T12:00:00Z", "9999-12-31T23:59:59.999999-23:59"]
)
ids = st.sampled_from(["a00000001-s000000000010-0123abcd", "x", "n" * 64, "\x00", "../.."])


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


sources = st.fixed_dictionaries(
    {"attempt": counts, "step": counts, "id": ids}, optional={"lineage": st.none() | ids}
)
commits = st.fixed_dictionaries(
    {
        "attempt": counts,
        "step": counts,
        "id": ids,
        "bytes": counts,
        "committedAt": instants,
        "writeSeconds": seconds,
    }
)
intervals = st.fixed_dictionaries(
    {"seconds": seconds, "why": texts},
    optional={
        "inputs": optional(
            stallSeconds=measured,
            commitLatencySeconds=measured,
            commitOverheadSeconds=measured,
            stateBytes=counts,
            uploadBytesPerSecond=measured,
            stepSeconds=measured,
            saves=counts,
            interruptionsPerHour=seconds,
            savedShare=seconds,
        ),
        "bounds": optional(
            optimum=measured, shortest=measured, longest=measured, maxLostWork=measured
        ),
    },
)
bodies = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["Waiting", "Restoring", "Training", "Draining", "Ended"]),
        "trainer": st.fixed_dictionaries(
            {"registered": st.booleans(), "step": counts},
            optional={
                "samples": counts,
                "epoch": counts,
                "steppingSeconds": measured,
                "busy": st.none() | texts,
            },
        ),
    },
    optional={
        "resume": st.fixed_dictionaries(
            {
                "decision": st.sampled_from(["fresh", "checkpoint", "completed", "stop"]),
                "at": instants,
            },
            optional={"from": sources, "seconds": seconds},
        ),
        "commit": commits,
        "found": sources,
        "commits": counts,
        "settled": st.booleans(),
        "interval": intervals,
        "seconds": optional(
            startUp=seconds, restore=seconds, productive=seconds, replayed=seconds, drain=seconds
        ),
        "notice": st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["Preempt", "Rebalance", "Maintenance", "PodDeletion"]),
                "deadline": st.none() | instants,
                "source": texts,
                "observedAt": instants,
            },
            optional={"raw": texts},
        ),
        "word": st.fixed_dictionaries({"word": texts, "at": instants}, optional={"reason": texts}),
        "memory": optional(
            oom=counts, oomKill=counts, limitBytes=st.none() | counts, secondsBeforeEnd=measured
        ),
        "problem": st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["StoreDenied", "NoValidCheckpoint", "Odd"]),
                "message": texts,
                "since": instants,
            }
        ),
        "quarantined": st.lists(st.fixed_dictionaries({"id": ids, "why": texts}), max_size=16),
    },
)
STORE = {"s3": {"bucket": "checkpoints"}}
jobs = st.sampled_from(
    [
        a_job(),
        a_job(
            checkpoint={"store": STORE, "interval": "60s", "maxLostWork": "10m"},
            stallTimeout="10m",
        ),
        a_job(checkpoint={"store": STORE, "maxLostWork": "10m"}),
    ]
)


def expect_a_plan(snapshot: Snapshot) -> Snapshot:
    """A pass, and a status that is JSON within the bounds of the API and can be read again."""
    settled = persisted(snapshot)
    made = plan(settled)
    assert made.wake_after is None or timedelta(0) < made.wake_after < timedelta(days=40_000)
    status = status_of(settled.ledger)
    text = json.dumps(status, allow_nan=False)
    assert len(text) < 64 * 1024
    assert all(abs(one) <= LARGEST for one in whole_numbers(status))
    assert ledger_of(json.loads(text)) == settled.ledger
    return settled


def whole_numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [one for each in value.values() for one in whole_numbers(each)]
    if isinstance(value, list):
        return [one for each in value for one in whole_numbers(each)]
    return [value] if isinstance(value, int) else []


@given(st.lists(bodies, min_size=1, max_size=3), jobs)
@settings(max_examples=40, deadline=None)
def test_whatever_its_reports_say_the_job_goes_on(said: list[dict[str, Any]], job: Any) -> None:
    snapshot = replace(at_work(), job=job)
    pod = snapshot.pods[0]
    for passed, body in enumerate(said):
        report = Report.model_validate_json(json.dumps(a_report_body(**body)))
        view = view_of(report, age=1.0, step_age=1.0)
        snapshot = expect_a_plan(later(snapshot, passed, reports={pod.uid: view}))
        expect_a_plan(later(snapshot, 4000.0))
    ended = expect_a_plan(later(snapshot, 60.0, pods=(exited(pod, 1),)))
    after = running(a_pod(ended.ledger.attempt))
    expect_a_plan(later(ended, 4000.0, pods=(after,)))
