"""The ledger's way into the API server: one PUT of the status, guarded by the resource version.

The version makes the write a fence: a paused former leader, or a pass that looked at an old copy,
gets Conflict and writes nothing.
"""

from typing import Any

from spot_operator.control.client import Client
from spot_operator.domain.crd_support import not_kept
from spot_operator.domain.observed.snapshot import JobView
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.state.sample import filled
from spot_operator.domain.state.status import status_of
from spot_operator.reconcile.kinds import JOBS

__all__ = ["persist", "probe"]


async def persist(client: Client, job: JobView, ledger: Ledger) -> dict[str, Any]:
    """Write `ledger` as the status of `job`, as it was observed; returns the object as stored.

    Raises:
        Conflict: the job has changed since it was observed, or another has its name by now.
        NotFound: it is gone.
        ApiError: whatever else; after Unavailable the write may have been done.
    """
    return await client.replace_status(JOBS, _body(job, status_of(ledger)))


async def probe(client: Client, job: JobView) -> frozenset[str]:
    """Which fields of a status the API server would not keep; nothing is stored.

    Raises:
        ApiError: it did not say.
    """
    wanted = status_of(filled(Ledger))
    kept = await client.replace_status(JOBS, _body(job, wanted), dry_run=True)
    return not_kept(wanted, kept.get("status") or {})


def _body(job: JobView, status: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "namespace": job.namespace,
            "name": job.name,
            "uid": job.uid,
            "resourceVersion": job.resource_version,
        },
        "status": status,
    }
