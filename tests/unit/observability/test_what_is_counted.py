"""The metrics: what a change of a ledger adds, what a write adds, and that no label names a job."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, FakeClient, calls, fail
from spot_operator.api.names import Condition, Ending, Reason, State
from spot_operator.control.errors import Conflict, Forbidden
from spot_operator.control.resource import CONFIGMAPS, PODS
from spot_operator.domain.state.ledger import (
    AttemptRecord,
    Charge,
    Checkpoints,
    CommitRef,
    Committed,
    ConditionRecord,
    Ledger,
    Totals,
)
from spot_operator.observability.counted_client import CountedClient
from spot_operator.observability.ledger_metrics import count
from spot_operator.observability.metrics import Metrics

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample that is not zero, without the prefix."""
    found = re.findall(
        r"^spot_training_operator_(\S+) (\S+)$", metrics.text().decode(), re.MULTILINE
    )
    return {
        name: float(value)
        for name, value in found
        if float(value) and "_bucket" not in name and "_created" not in name
    }


def counted(old: Ledger, new: Ledger) -> dict[str, float]:
    metrics = Metrics()
    count(metrics, old, new)
    return samples(metrics)


def attempt(number: int, **fields: Any) -> AttemptRecord:
    return AttemptRecord(number=number, created_at=NOW, **fields)


def finished(reason: str, status: Any = "False") -> Ledger:
    verdict = ConditionRecord(Condition.SUCCEEDED, status, reason, "", NOW, 1)
    return Ledger(state=State.FINISHED, conditions=(verdict,))


def test_a_new_attempt() -> None:
    old = Ledger(attempt=1, attempts=(attempt(1),))
    new = replace(old, attempt=2, attempts=(attempt(1), attempt(2)))
    assert counted(old, new) == {"attempts_total": 1}


@pytest.mark.parametrize(
    ("charged", "label"),
    [(Charge.INTERRUPTION, "Interruption"), (Charge.FAILURE, "Failure"), (None, "None")],
)
def test_an_ending_is_counted_once(charged: Charge | None, label: str) -> None:
    old = Ledger(attempt=1, attempts=(attempt(1),))
    new = replace(old, attempts=(attempt(1, ending="NodeLost", charged=charged),))
    name = f'attempt_endings_total{{charged="{label}",ending="NodeLost"}}'
    assert counted(old, new) == {name: 1}
    assert counted(new, new) == {}


def test_a_recovery() -> None:
    old = Ledger(attempt=2, attempts=(attempt(2),), totals=Totals(resumes=1, replayed_steps=5))
    new = replace(
        old,
        attempts=(attempt(2, retry_seconds=42.0),),
        totals=Totals(resumes=2, resumes_failed=1, replayed_steps=15),
    )
    assert counted(old, new) == {
        "resumes_total": 1,
        "resumes_failed_total": 1,
        "replayed_steps_total": 10,
        "retry_seconds_count": 1,
        "retry_seconds_sum": 42,
    }


def test_a_checkpoint() -> None:
    newest = Committed(CommitRef(1, 10, "a"), NOW, bytes=100, write_seconds=2.5)
    new = Ledger(checkpoint=Checkpoints(newest=newest, commits=1))
    assert counted(Ledger(), new) == {
        "checkpoint_bytes_total": 100,
        "checkpoint_write_seconds_count": 1,
        "checkpoint_write_seconds_sum": 2.5,
    }
    assert counted(new, replace(new, attempt=0)) == {}


@pytest.mark.parametrize(
    ("reason", "budget"),
    [
        (Reason.INTERRUPTIONS_EXHAUSTED, "Interruptions"),
        (Reason.NO_PROGRESS, "Progress"),
        (Ending.TRAINER_FAILED, "Failures"),
        (Ending.OUT_OF_MEMORY, "Failures"),
        (Ending.COMPLETED, None),
        (Ending.TRAINER_REFUSED, None),
        (Ending.NO_VALID_CHECKPOINT, None),
    ],
)
def test_the_end_of_a_job(reason: str, budget: str | None) -> None:
    expected: dict[str, float] = {f'jobs_finished_total{{reason="{reason}"}}': 1}
    if budget:
        expected[f'budget_refusals_total{{budget="{budget}"}}'] = 1
    assert counted(Ledger(), finished(str(reason))) == expected
    assert counted(finished(str(reason)), finished(str(reason))) == {}


def test_writes_are_counted_by_verb_kind_and_result() -> None:
    async def scenario(clock: FakeClock) -> None:
        metrics = Metrics()
        inner = FakeClient(FakeApiServer(clock, FakeEntropy(0)), clock=clock)
        client = CountedClient(inner, metrics)
        await client.create(CONFIGMAPS, {"metadata": {"name": "c", "namespace": "default"}})
        await client.patch(CONFIGMAPS, "c", {"data": {"a": "b"}}, namespace="default")
        inner.faults.on(calls("delete"), before=fail(Conflict("changed")), times=1)
        with pytest.raises(Conflict):
            await client.delete(CONFIGMAPS, "c", namespace="default")
        await client.delete(CONFIGMAPS, "c", namespace="default")
        await client.list(CONFIGMAPS)
        assert samples(metrics) == {
            'api_writes_total{kind="configmaps",result="OK",verb="create"}': 1,
            'api_writes_total{kind="configmaps",result="OK",verb="patch"}': 1,
            'api_writes_total{kind="configmaps",result="Conflict",verb="delete"}': 1,
            'api_writes_total{kind="configmaps",result="OK",verb="delete"}': 1,
        }

    in_fake_time(scenario)


def test_the_reason_that_a_webhook_makes_up_is_no_result() -> None:
    """Webhooks put whole sentences there."""

    async def scenario(clock: FakeClock) -> None:
        metrics = Metrics()
        inner = FakeClient(FakeApiServer(clock, FakeEntropy(0)), clock=clock)
        client = CountedClient(inner, metrics)
        for number in range(20):
            said = f"pod digits-{number}-0 has no cost centre"
            refusal = Forbidden("admission webhook denied the request", reason=said)
            inner.faults.on(calls("create"), before=fail(refusal), times=1)
            with pytest.raises(Forbidden):
                await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}})
        assert samples(metrics) == {
            'api_writes_total{kind="pods",result="Forbidden",verb="create"}': 20,
        }

    in_fake_time(scenario)


def test_no_metric_has_a_label_for_what_there_may_be_thousands_of() -> None:
    metrics = Metrics()
    labels = {
        label for metric in vars(metrics).values() for label in getattr(metric, "_labelnames", ())
    }
    assert labels == {
        "ending",
        "charged",
        "reason",
        "budget",
        "error",
        "kind",
        "verb",
        "result",
    } | {"status"}


def test_two_replicas_in_one_process_do_not_share_metrics() -> None:
    first, second = Metrics(), Metrics()
    first.attempts.inc()
    assert samples(second) == {}
