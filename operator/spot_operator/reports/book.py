"""The newest report of every pod, with the moment this process received it.

Memory only: an operator that restarts knows nothing until the sidecars report again, which they do
within seconds of finding the new leader. Bounded; the pods heard of longest ago go first.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from spot_operator.control.clock import Clock
from spot_operator.domain.observed.snapshot import HEARD_SECONDS, ReportView
from spot_operator.reports.schema import Report
from spot_operator.reports.view import view_of

__all__ = ["MAX_PODS", "ReportBook"]

MAX_PODS: Final = 20_000
"""About 2 KiB each: 40 MiB."""
ONCE: Final[dict[str, object]] = {"events": (), "sources": {}}
"""What is of no use once a report was accepted, and could be the most of it."""
GOING_SECONDS: Final = 600.0
"""How long the last word of a pod says that its node is going: no platform needs longer. A pod that
has ended may be kept for its logs for days, and its node come back."""
LATE: Final = 2
"""Reports of one run that may come out of order."""
RUNS_KEPT: Final = 8
"""Former runs remembered of a pod: reports that are so late are not on the way any more."""


@dataclass(slots=True)
class _Entry:
    report: Report
    received: float
    moved: float
    """When the step, the state or the announced silence was seen to change, later by what nobody
    heard since: while a node or a sidecar is away, a trainer may stand still for their sake."""
    committed: float
    """When the commit, the state or the announced silence was."""
    said: float
    """When its first report with a word came; until then its last report."""
    former: tuple[str, ...] = ()
    """Runs of the sidecar that are over: what still comes from one is late."""

    def precedes(self, report: Report) -> bool:
        """Whether `report` is newer than this one."""
        mine, its = _run(self.report), _run(report)
        if its != mine:
            return its not in self.former
        if report.sequence > self.report.sequence:
            return True
        # An older sidecar remembers its start, and counts from 0: one report at most is on its way.
        return not report.run and report.sequence + LATE < self.report.sequence

    def unheard(self, now: float) -> float:
        """Seconds until `now` in which a report was due and none came."""
        return max(0.0, now - self.received - HEARD_SECONDS)

    def former_runs(self, report: Report) -> tuple[str, ...]:
        """What `former` is once `report` is the newest."""
        mine = _run(self.report)
        return self.former if _run(report) == mine else (*self.former, mine)[-RUNS_KEPT:]


class ReportBook:
    """Reports by pod uid."""

    def __init__(self, clock: Clock, *, limit: int = MAX_PODS) -> None:
        self._clock = clock
        self._limit = limit
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._preempted: set[str] = set()

    def put(self, report: Report) -> bool:
        """Keep a report unless a newer one of its pod is known; says whether it was kept.

        Newer by its number, never by a clock: a node's may be put back.
        """
        now = self._clock.monotonic()
        known = self._entries.get(report.pod_uid)
        if known is not None and not known.precedes(report):
            return False
        self._entries[report.pod_uid] = _Entry(
            report.model_copy(update=ONCE),
            received=now,
            moved=known.moved + known.unheard(now)
            if known and _movement(known.report) == _movement(report)
            else now,
            committed=known.committed
            if known and _saving(known.report) == _saving(report)
            else now,
            said=known.said if known and known.report.word is not None else now,
            former=() if known is None else known.former_runs(report),
        )
        self._entries.move_to_end(report.pod_uid)
        self._note_preemption(report)
        while len(self._entries) > self._limit:
            self.forget(next(iter(self._entries)))
        return True

    def latest(self, pod_uid: str) -> Report | None:
        """The newest report, without what was for once."""
        entry = self._entries.get(pod_uid)
        return None if entry is None else entry.report

    def view(self, pod_uid: str) -> ReportView | None:
        """The newest report as decisions see it, aged by our own clock."""
        entry = self._entries.get(pod_uid)
        if entry is None:
            return None
        now = self._clock.monotonic()
        return view_of(
            entry.report,
            age=now - entry.received,
            step_age=now - entry.moved,
            commit_age=now - entry.committed,
            word_age=now - entry.said,
        )

    def preempted_pods(self) -> frozenset[str]:
        """Uids of the pods that now report a Preempt notice: their nodes are going."""
        since = self._clock.monotonic() - GOING_SECONDS
        return frozenset(uid for uid in self._preempted if self._entries[uid].received > since)

    def forget(self, pod_uid: str) -> None:
        """Drop what is known of a pod that is gone; a pod never heard of is fine."""
        self._entries.pop(pod_uid, None)
        self._preempted.discard(pod_uid)

    def __len__(self) -> int:
        return len(self._entries)

    def _note_preemption(self, report: Report) -> None:
        if report.notice is not None and report.notice.kind == "Preempt":
            self._preempted.add(report.pod_uid)
        else:
            self._preempted.discard(report.pod_uid)


def _phase(report: Report) -> tuple[object, ...]:
    """What begins or ends a time in which no step is expected."""
    return report.state, report.trainer.busy


def _movement(report: Report) -> tuple[object, ...]:
    return report.trainer.step, *_phase(report)


def _saving(report: Report) -> tuple[object, ...]:
    return report.commit.id if report.commit is not None else None, *_phase(report)


def _run(report: Report) -> str:
    """One life of the sidecar; by its start, where it does not name it."""
    return report.run or report.started_at.isoformat()
