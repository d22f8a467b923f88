"""Every metric of the operator, in one registry of its own.

None has a label per job, pod or node: their number is unbounded, and what concerns one job stands
in its status. Times are seconds; counters start at zero with each process.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "spot_training_operator"

_WRITE_BUCKETS: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_RETRY_BUCKETS: Final = (5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 10800)
_PASS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics, by the name they are counted under in the code."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._outcomes()
        self._work()

    def _outcomes(self) -> None:
        """What becomes of jobs."""
        self.attempts = self._counter("attempts", "Attempts started.")
        self.endings = self._counter(
            "attempt_endings",
            "Attempts ended, by ending and by what it was charged as "
            "(Interruption, Failure, or None).",
            ("ending", "charged"),
        )
        self.finished = self._counter(
            "jobs_finished", "Jobs that are over, by reason; Completed is success.", ("reason",)
        )
        self.refusals = self._counter(
            "budget_refusals",
            "Endings that no budget could pay for, by budget (Interruptions, Failures, Progress).",
            ("budget",),
        )
        self.resumes = self._counter("resumes", "Attempts that resumed from a checkpoint.")
        self.resumes_failed = self._counter(
            "resumes_failed", "Attempts that had checkpoints to resume from and could not."
        )
        self.replayed_steps = self._counter(
            "replayed_steps", "Steps done again after a loss of work."
        )
        self.checkpoint_bytes = self._counter(
            "checkpoint_bytes", "Bytes of the checkpoints seen in status, of the newest of each."
        )
        self.checkpoint_write_seconds = self._histogram(
            "checkpoint_write_seconds",
            "Time from a snapshot to its commit, of the newest checkpoint at each status write.",
            _WRITE_BUCKETS,
        )
        self.retry_seconds = self._histogram(
            "retry_seconds",
            "Time from the last step before an attempt to the first step of its own.",
            _RETRY_BUCKETS,
        )

    def _work(self) -> None:
        """How the operator itself does."""
        self.pass_seconds = self._histogram(
            "reconcile_seconds", "Duration of one pass over one job.", _PASS_BUCKETS
        )
        self.passes_failed = self._counter(
            "reconcile_errors", "Passes that failed, by class of error.", ("error",)
        )
        self.queue_depth = self._gauge("queue_depth", "Jobs that wait for a pass.")
        self.queue_age = self._gauge("queue_age_seconds", "How long the oldest of them has waited.")
        self.informer_silence = self._gauge(
            "informer_silence_seconds",
            "Time since a watch was last heard of, by kind; a healthy one stays below 70.",
            ("kind",),
        )
        self.writes = self._counter(
            "api_writes",
            "Writes to the API server, by verb, kind and result (an error's reason, or OK).",
            ("verb", "kind", "result"),
        )
        self.reports = self._counter(
            "reports", "Reports of sidecars, by HTTP status of the answer.", ("status",)
        )
        self.events_dropped = self._gauge(
            "events_dropped", "Kubernetes Events that could not be written."
        )
        self.fields_not_kept = self._gauge(
            "status_fields_not_kept",
            "Fields of the status that the API server drops: above 0, upgrade the CRDs.",
        )
        self.hears_reports = self._gauge(
            "hears_reports",
            "1 while reports of sidecars can reach this replica: certificate and Service stand.",
        )
        self.refused = self._gauge(
            "watch_refused",
            "1 while another release watches the same namespaces and this one waits, else 0.",
        )
        self.namespaces_refused = self._gauge(
            "namespaces_unreadable",
            "Watched namespaces whose jobs or pods may not be read: gone, or without the Role.",
        )
        self.leader = self._gauge("leader", "1 while this replica leads, else 0.")

    def text(self) -> bytes:
        """All of it, in the format of `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, what: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"{_PREFIX}_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", what, buckets=buckets, registry=self.registry)
