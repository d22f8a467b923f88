"""Whatever a program of tomorrow writes into a pod's status, the trainer is not blamed for it."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.builders import (
    a_pod,
    a_snapshot,
    at_work,
    bound,
    disrupted,
    exited,
    gone,
    later,
    persisted,
    terminating,
    waiting,
)
from spot_operator.domain.attempt.start_problems import ORDINARY, TABLE
from spot_operator.domain.observed.snapshot import PodView, Snapshot
from spot_operator.domain.state.ledger import AttemptRecord, Charge

WORK = at_work()
FIRST = persisted(a_snapshot())
CODES = st.integers(1, 255).filter(lambda code: code not in {93, 94})
WORDS = st.text("ABCabcxyz-_.", max_size=80)
MESSAGES = st.text(max_size=200).filter(lambda text: "limit" not in text)
KNOWN = {reason for rule in TABLE for reason in rule.reasons} | ORDINARY


def ended_by(snapshot: Snapshot, pod: PodView) -> AttemptRecord:
    """The record of the attempt whose pod has come to this, given hours of patience."""
    seen = persisted(replace(snapshot, pods=(pod,), reports={}))
    if seen.ledger.attempts[0].ending is None:
        stopped = persisted(later(seen, 7200))
        seen = persisted(later(stopped, 5, pods=(gone(replace(pod, phase="Failed")),)))
    return seen.ledger.attempts[0]


@given(code=CODES, reason=WORDS, container=WORDS, deleted=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_true_disruption_of_any_reason_is_no_failure(
    code: int, reason: str, container: str, deleted: bool
) -> None:
    pod = disrupted(exited(WORK.pods[0], code, container or "Error"), reason)
    record = ended_by(WORK, terminating(pod) if deleted else pod)
    assert record.charged is not Charge.FAILURE, record.message


@given(code=CODES, reason=WORDS.filter(bool), message=MESSAGES, begun=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_pod_with_a_reason_of_its_own_is_no_failure(
    code: int, reason: str, message: str, begun: bool
) -> None:
    pod = exited(WORK.pods[0], code) if begun else replace(bound(a_pod()), phase="Failed")
    record = ended_by(WORK if begun else FIRST, replace(pod, reason=reason, message=message))
    assert record.charged is not Charge.FAILURE, record.message


@given(reason=WORDS.filter(lambda reason: reason not in KNOWN), message=MESSAGES)
@settings(max_examples=100, deadline=None)
def test_a_container_that_waits_for_something_unknown_is_no_failure(
    reason: str, message: str
) -> None:
    record = ended_by(FIRST, waiting(bound(a_pod()), reason, message))
    assert record.charged is None, record.message


@given(
    reason=st.sampled_from(sorted(KNOWN - ORDINARY)) | WORDS.filter(bool),
    message=st.text(max_size=100),
    container=st.sampled_from(["trainer", "spot-sidecar"]),
)
@settings(max_examples=100, deadline=None)
def test_no_trouble_at_the_start_costs_a_job_that_has_started(
    reason: str, message: str, container: str
) -> None:
    nodes = {name: node for name, node in WORK.nodes.items() if name != "node-1"}
    lost = replace(persisted(replace(WORK, pods=(), nodes=nodes)), nodes=WORK.nodes)
    before = lost.ledger.budgets
    pod = waiting(bound(a_pod(lost.ledger.attempt)), reason, message, container)
    over = persisted(later(persisted(replace(lost, pods=(pod,))), 7200))
    ended = persisted(later(over, 5, pods=(gone(replace(pod, phase="Failed")),)))
    assert ended.ledger.budgets == before
