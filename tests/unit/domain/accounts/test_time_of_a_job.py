"""Where the wall time of a job goes, second by second (invariant I8)."""

from dataclasses import replace

import pytest
from kit.builders import (
    NOW,
    a_default_policy,
    a_job,
    a_node,
    a_pod,
    a_report,
    a_snapshot,
    after,
    bound,
    exited,
    gone,
    later,
    persisted,
    running,
)
from spot_operator.api.names import Bucket
from spot_operator.domain.accounts.time_buckets import Cut, account, is_placed, open_account, spent
from spot_operator.domain.observed.snapshot import ReportView, Snapshot, Visibility
from spot_operator.domain.state.ledger import Ledger, TimeLedger

POD = running(a_pod())


def buckets(snapshot: Snapshot) -> dict[str, float]:
    return {str(one): amount.total_seconds() for one, amount in snapshot.ledger.time.buckets}


def reporting(snapshot: Snapshot, report: ReportView) -> Snapshot:
    return replace(snapshot, reports={POD.uid: report})


def placed_at_20() -> Snapshot:
    """Seen 5 s after its creation, placed 15 s later."""
    seen = persisted(later(a_snapshot(policies=(a_default_policy(),)), 5))
    pending = persisted(replace(seen, pods=(a_pod(),)))
    return persisted(replace(later(pending, 15), pods=(bound(a_pod()),)))


def test_waiting_for_the_operator_then_for_a_node() -> None:
    assert buckets(placed_at_20()) == {"other": 5, "waitingForCapacity": 15}


def test_an_attempts_own_figures_split_its_time() -> None:
    begun = persisted(replace(later(placed_at_20(), 10), pods=(POD,)))
    told = a_report(seconds={"startUp": 4.0, "restore": 6.0, "productive": 0.0})
    heard = persisted(later(reporting(begun, told), 10))
    assert buckets(heard) == {
        "other": 5,
        "waitingForCapacity": 15,
        "startUp": 10 + 4,
        "restore": 6,
    }
    more = a_report(
        seconds={"startUp": 4.0, "restore": 6.0, "productive": 50.0, "checkpointStall": 5.0}
    )
    ended = persisted(replace(later(reporting(heard, more), 60), pods=(exited(POD, 1),)))
    assert buckets(ended) == {
        "other": 5 + 5,
        "waitingForCapacity": 15,
        "startUp": 14,
        "restore": 6,
        "productive": 50,
        "checkpointStall": 5,
    }


def test_back_off_suspension_and_drain() -> None:
    failed = persisted(replace(later(placed_at_20(), 10), pods=(exited(POD, 1),)))
    again = persisted(replace(later(failed, 10), pods=()))
    assert buckets(again) == {"other": 5, "waitingForCapacity": 15, "startUp": 10, "backoff": 10}
    second = running(a_pod(2))
    up = persisted(replace(again, pods=(second,)))
    stopping = persisted(replace(later(up, 7), job=a_job(suspend=True)))
    paused = persisted(replace(later(stopping, 3), pods=(gone(exited(second, 0)),)))
    resumed = persisted(replace(later(paused, 100), job=a_job()))
    assert buckets(resumed) == {
        "other": 5,
        "waitingForCapacity": 15,
        "startUp": 17,
        "backoff": 10,
        "drain": 3,
        "suspended": 100,
    }


def test_the_silence_of_a_lost_node_is_drain() -> None:
    begun = persisted(replace(later(placed_at_20(), 10), pods=(POD,)))
    told = a_report(seconds={"startUp": 4.0, "restore": 6.0})
    heard = persisted(later(reporting(begun, told), 10))
    last = a_report(seconds={"startUp": 4.0, "restore": 6.0, "productive": 20.0}, age=41.0)
    silent = replace(
        later(reporting(heard, last), 61),
        nodes={"node-1": a_node(lease_age=41.0), "node-2": a_node("node-2")},
        visibility=Visibility(True, 3600.0, {"node-1": (41.0, 51.0), "node-2": (1.0, 41.0, 81.0)}),
    )
    found = persisted(silent)
    assert found.ledger.attempts[0].ending == "NodeLost"
    assert buckets(found) == {
        "other": 5,
        "waitingForCapacity": 15,
        "startUp": 14,
        "restore": 6,
        "productive": 20,
        "drain": 41,
    }


def test_a_finished_job_spends_no_more_time() -> None:
    over = persisted(replace(later(placed_at_20(), 10), pods=(exited(POD, 93),)))
    edited = persisted(replace(later(over, 999), job=a_job(generation=2)))
    assert edited.ledger.time == over.ledger.time


RUNNING = replace(
    placed_at_20().ledger, time=TimeLedger(since=NOW, reported=((Bucket.START_UP, NOW - NOW),))
)


@pytest.mark.parametrize(
    ("seconds", "closes", "expected"),
    [
        ({"productive": 8.0}, False, {"productive": 8.0}),
        ({"productive": 8.0}, True, {"productive": 8.0, "other": 2.0}),
        ({"productive": 9.0, "startUp": 4.0}, False, {"productive": 9.0, "startUp": 1.0}),
        ({"productive": 12.0, "replayed": 3.0}, False, {"productive": 10.0}),
        ({"productive": -5.0}, False, {}),
        ({"productive": float("nan")}, True, {"other": 10.0}),
        ({"productive": float("inf")}, False, {"productive": 10.0}),
        (None, False, {}),
        (None, True, {"other": 10.0}),
    ],
)
def test_figures_are_believed_as_far_as_time_has_passed(
    seconds: dict[str, float] | None, closes: bool, expected: dict[str, float]
) -> None:
    time = account(RUNNING, Cut(after(10), seconds, closes=closes))
    assert {str(one): amount.total_seconds() for one, amount in time.buckets} == expected
    assert time.since == after(sum(expected.values()))


def test_a_clock_that_went_back_takes_nothing_away() -> None:
    assert is_placed(RUNNING)
    assert account(RUNNING, Cut(after(-10), None, closes=True)) == RUNNING.time


def test_a_job_created_in_the_future_begins_now() -> None:
    assert open_account(after(5), NOW).since == NOW
    assert open_account(after(-5), NOW).since == after(-5)


def test_a_bucket_never_used_holds_nothing() -> None:
    assert spent(Ledger().time, Bucket.DRAIN).total_seconds() == 0
