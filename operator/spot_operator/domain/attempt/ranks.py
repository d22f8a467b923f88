"""What is seen of each rank of the current attempt, and when a rank is no longer alive.

Whatever decides an ending is recorded when it is seen, for the next look may be another leader's:
the pod's uid, its node in its boot, notices, the trainer's word, the way it ended.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from spot_operator.api.names import State
from spot_operator.domain.attempt.last_word import LastWord, last_word
from spot_operator.domain.attempt.notices import SLACK, more_severe
from spot_operator.domain.attempt.pod_ending import lingers_for
from spot_operator.domain.attempt.start_problems import trouble_of
from spot_operator.domain.formats.text import STATUS_MESSAGE, WORD, shorten
from spot_operator.domain.nodes.fencing import fence_of
from spot_operator.domain.nodes.node_loss import was_away, was_silent
from spot_operator.domain.nodes.rebooting import cleared, doubt_left, is_doubtful, silenced
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import absent, lasted, left, lost, placed, span
from spot_operator.domain.observed.rank_end import completed, evidence, vanished
from spot_operator.domain.observed.snapshot import PodView, ReportView
from spot_operator.domain.state.ledger import (
    Ledger,
    MemoryKills,
    NodeIdentity,
    Notice,
    RankEnd,
    RankRecord,
    Trouble,
    Word,
)

FINAL_PROBLEMS: Final = frozenset(
    {"NoValidCheckpoint", "Superseded", "Resurrected", "StartedAgain", "BadNode"}
)
"""Problems for which the sidecar stops the trainer."""

REBOOTS_WITHIN: Final = timedelta(minutes=5)
"""From the first container that a machine ends on its way down until its kubelet is back."""


def note_ranks(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` with a record of every rank whose pod was ever seen, brought up to date."""
    if ledger.state in {State.WAITING, State.FINISHED}:
        return ledger
    records = {one.rank: one for one in (*_newly_seen(context, ledger), *ledger.ranks)}
    return replace(
        ledger, ranks=tuple(_update(context, ledger, records[rank]) for rank in sorted(records))
    )


def _newly_seen(context: Context, ledger: Ledger) -> list[RankRecord]:
    seen = (context.pods_of(ledger.attempt, rank)[:1] for rank in range(context.workers))
    return [RankRecord(pod.rank, pod.uid, pod.grace_seconds) for pods in seen for pod in pods]


def _update(context: Context, ledger: Ledger, record: RankRecord) -> RankRecord:
    if record.ended is not None:
        return record
    pod, report = context.pod_of(record), context.report_of(record)
    said = last_word(pod)
    heard = replace(
        record,
        node=record.node or _node(context, pod),
        notice=_notice(record, pod, report, said),
        word=_word(record, pod, report, said),
        memory=_memory(record, report, said),
    )
    return _ended(context, ledger, _begun(context, ledger, heard, pod), pod)


def _begun(context: Context, ledger: Ledger, record: RankRecord, pod: PodView | None) -> RankRecord:
    if pod is None:
        return record
    started = context.now if pod.trainer.started else None
    return replace(
        record, started=record.started or started, trouble=_trouble(context, ledger, record, pod)
    )


def is_seen(context: Context, record: RankRecord) -> bool:
    """Whether what its pod's status says is of now: neither this leader's watches nor the kubelet
    were silent of late."""
    node = context.snapshot.nodes.get(record.node.name) if record.node is not None else None
    pod, visibility = context.pod_of(record), context.snapshot.visibility
    if pod is None or not visibility.fresh:
        return False
    return node is None or not was_silent(node, visibility, _placed_for(context, pod))


def _trouble(context: Context, ledger: Ledger, record: RankRecord, pod: PodView) -> Trouble | None:
    """What keeps the pod from starting; of one that is ended for it, what it was."""
    if ledger.state is State.STOPPING:
        return None if pod.trainer.started else record.trouble
    return trouble_of(
        pod,
        record.trouble,
        context.now,
        started=ledger.has_started,
        placed_for=_placed_for(context, pod),
        template=context.job.containers,
    )


def _placed_for(context: Context, pod: PodView) -> timedelta:
    scheduled = pod.condition("PodScheduled")
    since = (scheduled and scheduled.since) or pod.created_at or context.now
    return lasted(context.snapshot, placed(pod), since)


def _node(context: Context, pod: PodView | None) -> NodeIdentity | None:
    if pod is None or pod.node_name is None:
        return None
    node = context.snapshot.nodes.get(pod.node_name)
    return pod.node_identity or (node.identity if node is not None else None)


def _notice(
    record: RankRecord, pod: PodView | None, report: ReportView | None, said: LastWord
) -> Notice | None:
    stands = record.notice
    seen = pod.notice if pod is not None else None
    for told in (seen, report.notice if report is not None else None, said.notice):
        if told is not None and not _too_late(record, told):
            stands = more_severe(stands, told)
    if stands is None or stands is record.notice:
        return stands
    return replace(
        stands, source=shorten(stands.source, WORD), raw=shorten(stands.raw, STATUS_MESSAGE)
    )


def _too_late(record: RankRecord, notice: Notice) -> bool:
    """Whether it was heard only when the trainer was over, by our clock and by the node's."""
    end = record.trainer_end
    ends = (end.at, end.finished_at or end.at) if end is not None else ()
    return bool(ends) and all(notice.observed_at > at + SLACK for at in ends)


def _word(
    record: RankRecord, pod: PodView | None, report: ReportView | None, said: LastWord
) -> Word | None:
    heard = _spoken(record, pod, report, said)
    if heard is None or heard is record.word:
        return heard
    return Word(shorten(heard.word, WORD), shorten(heard.reason, STATUS_MESSAGE))


def _spoken(
    record: RankRecord, pod: PodView | None, report: ReportView | None, said: LastWord
) -> Word | None:
    spoken = (said.word, report.word if report is not None else None, record.word)
    finished = next((one for one in spoken if one is not None and one.word == "Finished"), None)
    heard = finished or next(filter(None, spoken), None)
    if heard is not None or pod is None or pod.trainer.exit_code is None:
        return heard
    problem = said.problem or (report.problem if report is not None else None)
    stops = problem is not None and problem.kind in FINAL_PROBLEMS
    return Word(problem.kind, problem.message) if problem is not None and stops else None


def _memory(record: RankRecord, report: ReportView | None, said: LastWord) -> MemoryKills | None:
    """The newest word on it; kills that the trainer outlived do not prove its end."""
    heard = said.memory or (report.memory if report is not None else None) or record.memory
    return heard if heard is not None and heard.seconds_before_end is not None else None


def _ended(context: Context, ledger: Ledger, record: RankRecord, pod: PodView | None) -> RankRecord:
    end = _end(context, ledger, record, pod)
    if end is not None:
        lost_at = record.lost_at or _found_lost(context, ledger)
        return replace(record, lost_at=lost_at, trainer_end=None, ended=end)
    known = record.trainer_end
    over = silenced(context, record, known) if known else _trainer_end(context, ledger, record, pod)
    absent = pod is None or pod.gone
    if over is None and not absent:
        return record
    return replace(record, lost_at=record.lost_at or _found_lost(context, ledger), trainer_end=over)


def _found_lost(context: Context, ledger: Ledger) -> datetime:
    """Now; but after the start of the stop, which another clock may have dated later."""
    if ledger.stopping is None:
        return context.now
    return max(context.now, ledger.stopping.since + timedelta(microseconds=1))


def _trainer_end(
    context: Context, ledger: Ledger, record: RankRecord, pod: PodView | None
) -> RankEnd | None:
    """How the trainer ended, whatever else still runs in its pod; None: it may be alive.

    One that has said its last word and stays is over as well: the word says how it ended.
    """
    if pod is None or not pod.trainer.ended:
        lingers = lingers_for(context, record, pod)
        if lingers is None or lingers > timedelta(0) or ledger.stopping is not None:
            return None
    ours, away = _by_our_stop(ledger, record), _node_away(context, record, pod)
    template = context.job.containers
    return evidence(pod, None, context.now, ours=ours, node_away=away, template=template)


def _end(
    context: Context, ledger: Ledger, record: RankRecord, pod: PodView | None
) -> RankEnd | None:
    known, ours = record.trainer_end, _by_our_stop(ledger, record)
    fence = fence_of(context, record.node, record.uid)
    over = pod is not None and (pod.terminal or (pod.gone and pod.node_name is None))
    waited_out = (pod is None or pod.gone) and _waited_out(context, record)
    if known is not None:
        if not (over or fence or waited_out):
            return None
        if fence is not None:
            known = silenced(context, record, known)
        elif is_doubtful(context, known, ours=ours):
            known = cleared(context, record, known)
            if known.node_away and doubt_left(context, record) > timedelta(0):
                return None
        return completed(known, pod, fence, lately=_lately(context, record))
    if over or fence is not None:
        away = _node_away(context, record, pod)
        end = evidence(
            pod, fence, context.now, ours=ours, node_away=away, template=context.job.containers
        )
        # It is noted as the trainer's end until the node has told whether it went down.
        return None if fence is None and is_doubtful(context, end, ours=ours) else end
    return vanished(record, pod, context.now, ours=ours) if waited_out else None


def _lately(context: Context, record: RankRecord) -> bool:
    since = record.lost_at or context.now
    return lasted(context.snapshot, lost(record), since) <= REBOOTS_WITHIN


def _node_away(context: Context, record: RankRecord, pod: PodView | None) -> bool:
    node = context.snapshot.nodes.get(record.node.name) if record.node is not None else None
    if node is None or pod is None:
        return False
    return was_away(node, context.snapshot.visibility, _placed_for(context, pod))


def _by_our_stop(ledger: Ledger, record: RankRecord) -> bool:
    """Whether the rank was alive when we began to stop the attempt."""
    stopping, lost = ledger.stopping, record.lost_at
    return stopping is not None and (lost is None or lost > stopping.since)


def absence_left(context: Context, record: RankRecord) -> timedelta | None:
    """How long the process of an absent pod may still live; None: it was never found absent.

    It has at most its grace, once the kubelet sees that the pod is gone.
    """
    if record.lost_at is None:
        return None
    patience = span(record.grace) + context.unreachable_after
    if record.trainer_end is not None:
        # Lost with its trainer, and its pod was there: what else ran in it may still store.
        return left(context.snapshot, absent(record), context.now, patience)
    return left(context.snapshot, lost(record), record.lost_at, patience)


def _waited_out(context: Context, record: RankRecord) -> bool:
    wait = absence_left(context, record)
    return wait is not None and wait <= timedelta(0)
