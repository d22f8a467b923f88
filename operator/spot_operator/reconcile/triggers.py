"""Which change makes which job worth a look. Listeners of the caches: they only enqueue keys."""

from typing import Any

from spot_operator.control.store import Change
from spot_operator.control.workqueue import Priority, WorkQueue
from spot_operator.domain.observed.snapshot import JobKey
from spot_operator.reconcile.caches import BY_NODE, Caches, key_of_job, key_of_pod
from spot_operator.reports.schema import Report

__all__ = ["Triggers"]

Json = dict[str, Any]


class Triggers:
    """From changes to keys. Lease updates enqueue none: they come often, and age by the clock."""

    def __init__(self, caches: Caches, queue: WorkQueue[JobKey]) -> None:
        self._caches = caches
        self._queue = queue
        caches.jobs.subscribe(self._job_changed)
        caches.pods.subscribe(self._pod_changed)
        caches.nodes.subscribe(self._node_changed)
        caches.policies.subscribe(self._policy_changed)

    def report_accepted(self, report: Report) -> None:
        """A sidecar has said something new."""
        self._queue.add(JobKey(report.namespace, report.job))

    def _job_changed(self, change: Change) -> None:
        self._queue.add(key_of_job(change.item), _priority(change))

    def _pod_changed(self, change: Change) -> None:
        # A pod whose label is changed is out of one job's sight and in another's.
        for key in {key_of_pod(item) for item in (change.old, change.new) if item is not None}:
            if key is not None:
                self._queue.add(key, _priority(change))

    def _node_changed(self, change: Change) -> None:
        if change.old and change.new and _content(change.old) == _content(change.new):
            return
        for pod in self._caches.pods.by_index(BY_NODE, change.item["metadata"]["name"]):
            self._pod_changed(Change(None, pod, change.live))

    def every_job(self) -> None:
        """Something that concerns each of them has changed."""
        for job in self._caches.jobs.items():
            self._queue.add(key_of_job(job), Priority.RESYNC)

    def _policy_changed(self, change: Change) -> None:  # noqa: ARG002 - any job may follow it
        self.every_job()


def _priority(change: Change) -> Priority:
    return Priority.LIVE if change.live else Priority.RESYNC


def _content(node: Json) -> tuple[Any, ...]:
    """What of a trimmed node decisions read: its version alone is not a change."""
    meta = node["metadata"]
    return meta["uid"], meta.get("labels"), node["spec"], node["status"]
