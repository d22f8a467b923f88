"""What the operator watches: jobs, policies, their pods, the nodes and the nodes' leases.

With `namespaces` given, jobs and pods are watched in each of these alone.

Started when this process leads and not before: a list read after the lease was won shows every
write of the leader before, which a cache that was warm already need not.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from spot_operator.api import names
from spot_operator.control.client import Client
from spot_operator.control.clock import Clock, Entropy
from spot_operator.control.informer import SILENCE_SECONDS, Informer
from spot_operator.control.informers import Informers
from spot_operator.control.resource import LEASES, NODES, PODS
from spot_operator.domain.observed.snapshot import JobKey
from spot_operator.reconcile.kinds import JOBS, POLICIES
from spot_operator.reconcile.pod_view import owner_of
from spot_operator.reconcile.tombstones import job_of
from spot_operator.reconcile.trim import trim_job, trim_lease, trim_node, trim_pod

__all__ = ["BY_JOB", "BY_NODE", "Caches", "key_of_job", "key_of_pod"]

Json = dict[str, Any]

NODE_LEASES: Final = "kube-node-lease"
"""The namespace in which kubelets renew their leases."""
BY_JOB: Final = "job"
BY_NODE: Final = "node"


class Caches:
    """The informers, each of which may be read at any time."""

    def __init__(
        self, client: Client, clock: Clock, entropy: Entropy, namespaces: Sequence[str] = ()
    ) -> None:
        self.jobs = Informers(client, JOBS, clock, entropy, namespaces=namespaces, trim=trim_job)
        self.policies = Informer(client, POLICIES, clock, entropy, trim=trim_job)
        self.pods = Informers(
            client,
            PODS,
            clock,
            entropy,
            namespaces=namespaces,
            label_selector=names.LABEL_JOB_UID,
            trim=trim_pod,
            indexes={BY_JOB: _job_keys, BY_NODE: _node_keys},
        )
        self.nodes = Informer(client, NODES, clock, entropy, trim=trim_node)
        self.leases = Informer(
            client, LEASES, clock, entropy, namespace=NODE_LEASES, trim=trim_lease
        )

    @property
    def all(self) -> Mapping[str, Informer | Informers]:
        """By the plural of the kind."""
        informers: tuple[Informer | Informers, ...]
        informers = (self.jobs, self.policies, self.pods, self.nodes, self.leases)
        return {informer.resource.plural: informer for informer in informers}

    async def run(self) -> None:
        """Follow the server until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, informer in self.all.items():
                group.create_task(informer.run(), name=f"informer of {name}")

    async def wait_synced(self) -> None:
        """Return when every first list is in."""
        for cluster_wide in (self.policies, self.nodes, self.leases):
            await cluster_wide.synced.wait()
        await self.jobs.wait_synced()
        await self.pods.wait_synced()

    def fresh(self, namespace: str) -> bool:
        """Whether every watch that bears on jobs of `namespace` was heard of recently enough."""
        return all(
            silence <= SILENCE_SECONDS
            for silence in (
                self.jobs.silence(namespace),
                self.pods.silence(namespace),
                *(one.silence() for one in (self.policies, self.nodes, self.leases)),
            )
        )

    @property
    def refused(self) -> tuple[str, ...]:
        """The namespaces in which jobs or pods may not be read."""
        return tuple(sorted({*self.jobs.refused, *self.pods.refused}))

    def pods_of(self, key: JobKey) -> list[Json]:
        """The pods whose label names that job, but for those that another job there owns.

        Anybody may change a label; ended as another's, or as nobody's, such a pod must not be.
        """
        found = ((pod, self.job_of(pod)) for pod in self.pods.by_index(BY_JOB, str(key)))
        return [pod for pod, owner in found if owner is None or key_of_job(owner) == key]

    def job(self, uid: str, namespace: str) -> Json | None:
        """The job with that uid, if that namespace has it.

        A uid alone does not prove it: whoever may create pods may name any job as the owner of his.
        """
        found = self.jobs.get(uid)
        return found if found and found["metadata"]["namespace"] == namespace else None

    def job_of(self, pod: Json) -> Json | None:
        """The job that controls the pod; None where there is none in the pod's namespace."""
        return self.job(owner_of(pod), pod["metadata"]["namespace"])


def key_of_job(job: Json) -> JobKey:
    """The key under which a job is reconciled."""
    return JobKey(job["metadata"]["namespace"], job["metadata"]["name"])


def key_of_pod(pod: Json) -> JobKey | None:
    """The key of the job that a pod's label names."""
    job = job_of(pod)
    return None if job is None else JobKey(*job)


def _job_keys(pod: Json) -> list[str]:
    key = key_of_pod(pod)
    return [] if key is None else [str(key)]


def _node_keys(pod: Json) -> list[str]:
    node = pod["spec"].get("nodeName")
    return [node] if node else []
