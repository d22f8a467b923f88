"""The ledger as the job's `status`, and back without loss.

Everything is written with names of `api.status`: the API server drops what the schema does not
know without a word.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from spot_operator.api import status as api
from spot_operator.api.names import Bucket, Condition, Ending, Reason, State
from spot_operator.api.status_interval import IntervalInForce
from spot_operator.domain.state import ledger as own
from spot_operator.domain.state.ledger import REPORTED, plausible_seconds

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def status_of(ledger: own.Ledger) -> dict[str, Any]:
    """The `status` to PUT: plain JSON, absent where there is nothing to say."""
    shown = api.JobStatus(
        observed_generation=ledger.observed_generation,
        attempt=ledger.attempt,
        first_started=ledger.first_started,
        job_uid=ledger.job_uid or None,
        state=ledger.state,
        not_before=ledger.not_before,
        stopping=_shown(api.Stopping, ledger.stopping),
        ranks=tuple(api.Rank.model_validate(_plain(one)) for one in ledger.ranks),
        attempts=tuple(api.Attempt.model_validate(_plain(one)) for one in ledger.attempts),
        budgets=_show_budgets(ledger.budgets),
        checkpoint=_show_checkpoints(ledger.checkpoint),
        purge=_shown(api.Purge, ledger.purge),
        excluded_nodes=tuple(_show_excluded(one) for one in ledger.excluded),
        time=_show_time(ledger.time),
        policy=_show_policy(ledger),
        progress=_shown(api.Progress, ledger.progress),
        totals=_shown(api.Totals, ledger.totals),
        completion_time=ledger.finished_at,
        conditions=tuple(_show_condition(one) for one in ledger.conditions),
    )
    return shown.model_dump(mode="json", by_alias=True, exclude_none=True)


def ledger_of(status: Mapping[str, Any] | None) -> own.Ledger:
    """The ledger of a job's `status`; empty when there is none.

    Raises pydantic.ValidationError when the status was not written by this operator.
    """
    read = api.JobStatus.model_validate(status or {})
    return own.Ledger(
        job_uid=read.job_uid or "",
        observed_generation=read.observed_generation or 0,
        attempt=read.attempt or 0,
        first_started=read.first_started,
        state=read.state or State.WAITING,
        not_before=read.not_before,
        stopping=_read_stopping(read.stopping),
        ranks=tuple(_read_rank(one) for one in read.ranks or ()),
        attempts=tuple(_read_attempt(one) for one in read.attempts or ()),
        budgets=_read_budgets(read.budgets),
        checkpoint=_read_checkpoints(read.checkpoint),
        purge=_flat(own.Purge, read.purge),
        excluded=tuple(_read_excluded(one) for one in read.excluded_nodes or ()),
        time=_read_time(read.time),
        policy=None if read.policy is None else read.policy.name,
        policy_claim=_read_claim(read.policy),
        progress=_flat(own.Progress, read.progress) or own.Progress(),
        totals=_flat(own.Totals, read.totals) or own.Totals(),
        finished_at=read.completion_time,
        conditions=tuple(
            _read_condition(one) for one in read.conditions or () if one.type in set(Condition)
        ),
    )


def _plain(value: Any) -> Any:
    """A value of the ledger as what pydantic reads: dataclasses as dicts by field name."""
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return value


def _shown(model: type[M], value: object | None) -> M | None:
    return None if value is None else model.model_validate(_plain(value))


def _flat(kind: type[T], read: BaseModel | None) -> T | None:
    """A dataclass from a model with the same plain fields."""
    if read is None:
        return None
    names = (one.name for one in fields(kind))  # type: ignore[arg-type]
    return kind(**{name: getattr(read, name) for name in names})


def _show_budgets(budgets: own.Budgets) -> api.Budgets:
    return api.Budgets(
        interruptions=api.InterruptionsUsed(
            used=budgets.interruptions, times=budgets.interruption_times
        ),
        failures=api.FailuresUsed(used=budgets.failures),
        without_progress=budgets.without_progress,
        progress_limit=budgets.progress_limit,
    )


def _read_budgets(read: api.Budgets | None) -> own.Budgets:
    if read is None:
        return own.Budgets()
    return own.Budgets(
        interruptions=read.interruptions.used,
        interruption_times=read.interruptions.times,
        failures=read.failures.used,
        without_progress=read.without_progress,
        progress_limit=read.progress_limit,
    )


def _show_policy(ledger: own.Ledger) -> api.PolicyInUse | None:
    if ledger.policy is None:
        return None
    claim = None if ledger.policy_claim is None else str(ledger.policy_claim)
    return api.PolicyInUse.model_validate({"name": ledger.policy, "claim": claim})


def _read_claim(read: api.PolicyInUse | None) -> own.Claim | None:
    return own.Claim(read.claim) if read is not None and read.claim is not None else None


def _show_checkpoints(known: own.Checkpoints) -> api.Checkpoints:
    newest = known.newest
    shown = None if newest is None else api.Committed(**_plain(newest.ref), **_but_ref(newest))
    return api.Checkpoints.model_validate({**_plain(known), "newest": shown})


def _but_ref(newest: own.Committed) -> dict[str, Any]:
    return {name: value for name, value in _plain(newest).items() if name != "ref"}


def _read_checkpoints(read: api.Checkpoints | None) -> own.Checkpoints:
    if read is None:
        return own.Checkpoints()
    newest = read.newest
    return own.Checkpoints(
        newest=None
        if newest is None
        else own.Committed(
            ref=own.CommitRef(newest.attempt, newest.step, newest.id),
            committed_at=newest.committed_at,
            bytes=newest.bytes,
            write_seconds=newest.write_seconds,
        ),
        commits=read.commits,
        attempt_commits=read.attempt_commits,
        best_step=read.best_step,
        suspects=read.suspects,
        afresh=read.afresh,
        interval=_read_interval(read.interval),
    )


def _read_interval(read: IntervalInForce | None) -> own.Interval | None:
    if read is None:
        return None
    return own.Interval(
        seconds=read.seconds,
        why=read.why,
        inputs=_flat(own.IntervalInputs, read.inputs) or own.IntervalInputs(),
        bounds=_flat(own.IntervalBounds, read.bounds) or own.IntervalBounds(),
    )


def _read_stopping(read: api.Stopping | None) -> own.Stopping | None:
    if read is None:
        return None
    return own.Stopping(read.since, _cause(read.cause), read.message)


def _cause(word: str | None) -> Ending | Reason | None:
    if word is None:
        return None
    return Ending(word) if word in set(Ending) else Reason(word)


def _read_rank(read: api.Rank) -> own.RankRecord:
    return own.RankRecord(
        rank=read.rank,
        uid=read.uid,
        grace=read.grace,
        node=_flat(own.NodeIdentity, read.node),
        started=read.started,
        notice=_flat(own.Notice, read.notice),
        word=_flat(own.Word, read.word),
        memory=_flat(own.MemoryKills, read.memory),
        trouble=_flat(own.Trouble, read.trouble),
        lost_at=read.lost_at,
        trainer_end=_read_end(read.trainer_end),
        ended=_read_end(read.ended),
        silent_since=read.silent_since,
        still=_flat(own.Standstill, read.still),
        unsaved=_flat(own.Standstill, read.unsaved),
    )


def _read_end(read: api.RankEnd | None) -> own.RankEnd | None:
    end = _flat(own.RankEnd, read)
    if end is None or read is None or read.fence is None:
        return end
    return replace(end, fence=own.Fence(read.fence))


def _read_attempt(read: api.Attempt) -> own.AttemptRecord:
    record = _flat(own.AttemptRecord, read) or own.AttemptRecord(read.number, read.created_at)
    return replace(
        record,
        charged=None if read.charged is None else own.Charge(read.charged),
        resumed_from=_flat(own.CommitRef, read.resumed_from),
    )


def _show_excluded(one: own.ExcludedNode) -> api.ExcludedNode:
    return api.ExcludedNode(**_plain(one.node), reason=one.reason, since=one.since)


def _read_excluded(read: api.ExcludedNode) -> own.ExcludedNode:
    node = own.NodeIdentity(read.name, read.uid, read.boot_id)
    return own.ExcludedNode(node, read.reason, read.since)


def _show_time(time: own.TimeLedger) -> api.Time:
    return api.Time(
        since=time.since,
        buckets=_show_buckets(time.buckets),
        reported=_show_buckets(time.reported) if time.reported else None,
    )


def _show_buckets(buckets: own.Spent) -> api.Buckets:
    return api.Buckets.model_validate(
        {str(bucket): round(amount.total_seconds(), 6) for bucket, amount in buckets}
    )


def _read_time(read: api.Time | None) -> own.TimeLedger:
    if read is None:
        return own.TimeLedger()
    spent = _read_buckets(read.buckets, tuple(Bucket))
    return own.TimeLedger(
        since=read.since,
        buckets=tuple((bucket, amount) for bucket, amount in spent if amount),
        reported=() if read.reported is None else _read_buckets(read.reported, REPORTED),
    )


def _read_buckets(read: api.Buckets, wanted: tuple[Bucket, ...]) -> own.Spent:
    seconds = read.model_dump(by_alias=True)
    return tuple((one, timedelta(seconds=plausible_seconds(seconds[str(one)]))) for one in wanted)


def _show_condition(one: own.ConditionRecord) -> api.ConditionStatus:
    return api.ConditionStatus(
        type=str(one.type),
        status=one.status,
        reason=one.reason,
        message=one.message,
        last_transition_time=one.since,
        observed_generation=one.observed_generation,
    )


def _read_condition(read: api.ConditionStatus) -> own.ConditionRecord:
    return own.ConditionRecord(
        type=Condition(read.type),
        status=read.status,
        reason=read.reason,
        message=read.message,
        since=read.last_transition_time,
        observed_generation=read.observed_generation or 0,
    )
