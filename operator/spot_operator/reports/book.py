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
    step_changed: float


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
        moved = known is None or known.report.trainer.step != report.trainer.step
        changed = now if moved or known is None else known.step_changed
        self._entries[report.pod_uid] = _Entry(report, now, changed)
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
        return view_of(entry.report, age=now - entry.received, step_age=now - entry.step_changed)

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


def _order(report: Report) -> tuple[float, int]:
    return report.started_at.timestamp(), report.sequence
