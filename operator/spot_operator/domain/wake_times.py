"""When to look again although nothing happened: silence, patience and waits make no events."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from spot_operator.api.names import State
from spot_operator.domain.accounts.backoff import wait_left
from spot_operator.domain.attempt.concluding import never_made_in
from spot_operator.domain.attempt.pod_ending import lingers_for, pod_stays_for
from spot_operator.domain.attempt.ranks import absence_left
from spot_operator.domain.attempt.silence import silence_ends_in
from spot_operator.domain.attempt.stopping import stall_deadline, trouble_left, unranked_left
from spot_operator.domain.due_actions import expires_in
from spot_operator.domain.nodes.fencing import is_forced
from spot_operator.domain.nodes.node_loss import silence
from spot_operator.domain.nodes.overstay import told_in
from spot_operator.domain.nodes.rebooting import doubt_left, is_doubtful, silence_shows_in
from spot_operator.domain.observed.context import Context
from spot_operator.domain.shown.conditions import unseen_in
from spot_operator.domain.state.ledger import Ledger, RankRecord

SOONEST: Final = timedelta(milliseconds=200)
"""A timer that just fired too early must not spin."""
BLIND: Final = timedelta(seconds=10)
"""How often to look for the end of what no event announces: blindness, strays."""


def wake_after(context: Context, ledger: Ledger) -> timedelta | None:
    """The time until the next decision may differ; None when only an event can change it."""
    waits = [*_waits(context, ledger), *_silences(context, ledger)]
    coming = [wait for wait in waits if wait >= timedelta(0)]
    return max(SOONEST, min(coming)) if coming else None


def _waits(context: Context, ledger: Ledger) -> Iterator[timedelta]:
    if ledger.not_before is not None:
        yield wait_left(context, ledger)
    if context.patience is not None:
        yield context.patience
    expiry = expires_in(context, ledger)
    if expiry is not None:
        yield expiry
    unranked = unranked_left(context, ledger)
    if unranked is not None:
        yield unranked
    if ledger.stopping is not None:
        yield never_made_in(context, ledger, ledger.stopping)
    for record in ledger.ranks:
        yield from _of_rank(context, record)
    for pod in context.present():
        told = told_in(context, pod)
        if told is not None and told > timedelta(0):
            yield told


def _of_rank(context: Context, record: RankRecord) -> Iterator[timedelta]:
    if record.ended is not None:
        return
    if record.trouble is not None:
        wait = trouble_left(context, record)
        # Then it may be the node's silence, of whose end no event tells, that it is borne for.
        yield wait if wait > timedelta(0) else BLIND
    absence = absence_left(context, record)
    if absence is not None:
        yield absence
    shows = silence_shows_in(context, record) if record.trainer_end is not None else None
    if shows is not None:
        yield shows
    if record.trainer_end is not None and is_doubtful(context, record.trainer_end, ours=False):
        # Lease updates put no key into the queue.
        yield min(BLIND, doubt_left(context, record))


def _silences(context: Context, ledger: Ledger) -> Iterator[timedelta]:
    if not context.snapshot.visibility.fresh or context.barred or _is_going(context):
        yield BLIND
    if ledger.state is State.FINISHED:
        return
    for pod in context.present():
        unseen = unseen_in(context, pod)
        if pod.node_name is None and unseen > timedelta(0):
            yield unseen
    if ledger.state is State.WAITING and not context.job.spec.suspend and not context.policy_block:
        yield BLIND
    for record in ledger.ranks:
        if record.ended is None:
            yield from silence_ends_in(context, ledger, record)
            yield from _of_silent(context, record)


def _is_going(context: Context) -> bool:
    """Whether a pod is being deleted: its node may die first, whatever the job's state is."""
    pods = (*context.present(), *context.former())
    return any(pod.deletion_at is not None and not is_forced(pod) for pod in pods)


def _of_silent(context: Context, record: RankRecord) -> Iterator[timedelta]:
    yield from _of_parting(context, record)
    stall = stall_deadline(context, record)
    if stall is not None:
        yield stall
    node = context.snapshot.nodes.get(record.node.name) if record.node is not None else None
    if node is None or node.lease_age is None:
        yield BLIND
        return
    report = context.report_of(record)
    silent = min(node.lease_age, silence(report, context.snapshot.visibility))
    left = context.unreachable_after - timedelta(seconds=silent)
    # Once it has been silent long enough, what is missing is other nodes' word: no event brings it.
    yield left if left >= timedelta(0) else BLIND


def _of_parting(context: Context, record: RankRecord) -> Iterator[timedelta]:
    pod = context.pod_of(record)
    lingers = lingers_for(context, record, pod)
    if lingers is not None and record.lost_at is None:
        yield lingers
    if pod is not None and not pod.gone and pod.deletion_at is None and record.lost_at is not None:
        yield pod_stays_for(context, record, pod)
