"""The caches as the reports' receiver asks them."""

from dataclasses import dataclass

from spot_operator.reconcile.caches import Caches
from spot_operator.reconcile.observe import Observer
from spot_operator.reconcile.pod_view import pod_view
from spot_operator.reports.receiver import KnownPod

__all__ = ["ReceiverWorld"]


@dataclass(frozen=True, slots=True)
class ReceiverWorld:
    """Implements `reports.receiver.World`."""

    caches: Caches
    observer: Observer

    def leading(self) -> bool:
        """Whether this process leads and its caches have synced."""
        return self.observer.leading_since is not None

    def pod(self, uid: str) -> KnownPod | None:
        """The pod with that uid, while it exists."""
        pod = self.caches.pods.get(uid)
        if pod is None:
            return None
        view, meta = pod_view(pod), pod["metadata"]
        job = self.caches.job_of(pod)
        name = "" if job is None else job["metadata"]["name"]
        return KnownPod(meta["namespace"], name, view.owner_uid, view.attempt, view.rank)

    def has_pod(self, uid: str, namespace: str) -> bool:
        """Whether a pod with that uid and our label is in that namespace."""
        pod = self.caches.pods.get(uid)
        return pod is not None and pod["metadata"]["namespace"] == namespace

    def attempt_of(self, job_uid: str, namespace: str) -> int | None:
        """The current attempt of the job with that uid; None: that namespace has no such job."""
        job = self.caches.job(job_uid, namespace)
        if job is None:
            return None
        return int((job.get("status") or {}).get("attempt") or 0)
