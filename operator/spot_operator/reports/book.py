"""The newest report of every pod, with the moment this process received it.

Memory only: an operator that restarts knows nothing until the sidecars report again, which they do
within seconds of finding the new leader. Bounded; the pods heard of longest ago go first.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from spot_operator.control.clock import Clock
from spot_operator.domain.snapshot import ReportView
from spot_operator.reports.schema import Report
from spot_operator.reports.view import view_of

__all__ = ["MAX_PODS", "ReportBook"]

MAX_PODS: Final = 20_000
"""About 2 KiB each: 40 MiB."""


@dataclass(slots=True)
class _Entry:
    report: Report
    received: float
    moved: float
    """When the step, the state or the announced silence was seen to change."""
    committed: float
    """When the commit, the state or the announced silence was."""


class ReportBook:
    """Reports by pod uid."""

    def __init__(self, clock: Clock, *, limit: int = MAX_PODS) -> None:
        self._clock = clock
        self._limit = limit
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._preempted: set[str] = set()

    def put(self, report: Report) -> bool:
        """Keep a report unless a newer one of its pod is known; says whether it was kept.

        A sidecar that restarts counts again from the start, so its start time comes first.
        """
        now = self._clock.monotonic()
        known = self._entries.get(report.pod_uid)
        if known is not None and _order(report) <= _order(known.report):
            return False
        self._entries[report.pod_uid] = _Entry(
            report,
            received=now,
            moved=known.moved if known and _movement(known.report) == _movement(report) else now,
            committed=known.committed
            if known and _saving(known.report) == _saving(report)
            else now,
        )
        self._entries.move_to_end(report.pod_uid)
        self._note_preemption(report)
        while len(self._entries) > self._limit:
            self.forget(next(iter(self._entries)))
        return True

    def latest(self, pod_uid: str) -> Report | None:
        """The newest report as it came."""
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
        )

    def preempted_pods(self) -> frozenset[str]:
        """Uids of the pods that now report a Preempt notice: their nodes are going."""
        return frozenset(self._preempted)

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


def _order(report: Report) -> tuple[float, int]:
    return report.started_at.timestamp(), report.sequence
