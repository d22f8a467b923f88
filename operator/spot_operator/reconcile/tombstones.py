"""The last state of pods that are gone, while their job may still ask how they ended.

A pod can be gone before the pass that would have noted its end: deleted by somebody, or collected
with its node. The report book keeps its word as long.
"""

from typing import Any, Final

from spot_operator.api import names
from spot_operator.control.store import Change
from spot_operator.reports.book import ReportBook

__all__ = ["Tombstones"]

Json = dict[str, Any]

LIMIT: Final = 128
"""Of one job; the first gone are dropped. Pods with our labels may be anybody's, without number."""


class Tombstones:
    """By job (namespace, name): pods that are gone. Also ends their entries in the book."""

    def __init__(self, book: ReportBook) -> None:
        self._book = book
        self._by_job: dict[tuple[str, str], dict[str, Json]] = {}

    def hear(self, change: Change) -> None:
        """Listener of the pod informer."""
        item = change.item
        job = job_of(item)
        if change.new is None and job is not None:
            buried = self._by_job.setdefault(job, {})
            buried[item["metadata"]["uid"]] = item if change.live else _unwatched(item)
            while len(buried) > LIMIT:
                self._drop(buried, next(iter(buried)))

    def of(self, namespace: str, job: str) -> list[Json]:
        """The pods of that job that are gone, the first gone first."""
        return list(self._by_job.get((namespace, job), {}).values())

    def keep_only(self, namespace: str, job: str, attempt: int) -> None:
        """Drop those of other attempts: how they ended is on record."""
        known = self._by_job.get((namespace, job), {})
        current = str(attempt)
        for uid, pod in list(known.items()):
            if pod["metadata"]["labels"].get(names.LABEL_ATTEMPT) != current:
                self._drop(known, uid)
        if not known:
            self._by_job.pop((namespace, job), None)

    def forget(self, namespace: str, job: str) -> None:
        """The job is gone."""
        for uid in self._by_job.pop((namespace, job), {}):
            self._book.forget(uid)

    def _drop(self, buried: dict[str, Json], uid: str) -> None:
        del buried[uid]
        self._book.forget(uid)


def _unwatched(pod: Json) -> Json:
    """A pod that a list lacks: nobody told of its end, nor of what came before.

    If it had no node it may have been given one since, and have been deleted by force: it may run.
    """
    return {**pod, "spec": {**pod["spec"], "nodeName": pod["spec"].get("nodeName") or ""}}


def job_of(pod: Json) -> tuple[str, str] | None:
    """Namespace and name of the job a pod's labels name; None without the label."""
    meta = pod["metadata"]
    name = (meta.get("labels") or {}).get(names.LABEL_JOB)
    return (meta["namespace"], name) if name else None
