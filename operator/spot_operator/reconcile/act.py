"""From actions to calls of the API server: in order, idempotent, stopping at the first error."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any

from spot_operator.api import names
from spot_operator.control.client import Client
from spot_operator.control.clock import Entropy
from spot_operator.control.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NamespaceTerminating,
    NotFound,
)
from spot_operator.control.resource import PODS
from spot_operator.domain.actions import (
    Action,
    AnnotatePod,
    CreatePod,
    CreatePurge,
    DeleteJob,
    DeletePod,
    Hold,
)
from spot_operator.domain.snapshot import JobKey, JobView, Refusal
from spot_operator.reconcile.caches import Caches
from spot_operator.reconcile.expecting import Expecting
from spot_operator.reconcile.findings import Findings
from spot_operator.reconcile.kinds import JOBS
from spot_operator.render.pod import render_pod
from spot_operator.render.purge import render_purge
from spot_operator.render.settings import RenderSettings

__all__ = ["Actor", "NameTaken"]

log = logging.getLogger(__name__)

Json = dict[str, Any]


class NameTaken(Exception):  # noqa: N818 - an answer, not a fault
    """A pod's name belongs to somebody else's pod; it is noted, and the plan takes another."""


@dataclass(slots=True)
class Actor:
    """Does what a plan asks for. `warn` is told what the API server says about a pod of a job."""

    client: Client
    caches: Caches
    expecting: Expecting
    findings: Findings
    entropy: Entropy
    settings: Callable[[], RenderSettings]
    warn: Callable[[JobView, str], None]

    async def act(self, key: JobKey, job: JobView | None, actions: Sequence[Action]) -> None:
        """Do `actions` in order.

        Raises:
            NameTaken: look again at once; a later number is to be used.
            ApiError: the first that stopped it. What was done before stays done, and is
                harmless to do again.
        """
        for action in actions:
            log.info("%s: %s", key, _said(action))
            await self._do(action, key, job)

    @singledispatchmethod
    async def _do(self, action: Action, key: JobKey, job: JobView | None) -> None:
        raise NotImplementedError(type(action).__name__)

    @_do.register
    async def _(self, action: CreatePod, key: JobKey, job: JobView | None) -> None:
        if job is None:
            raise ValueError(f"{key} is gone: no pod is created for it")
        pod = render_pod(job, action, self.settings(), drain_token=self.entropy.token())
        await self._post(key, job, pod)

    @_do.register
    async def _(self, action: CreatePurge, key: JobKey, job: JobView | None) -> None:
        if job is None:
            raise ValueError(f"{key} is gone: nothing is deleted for it")
        await self._post(key, job, render_purge(job, action.number, self.settings()))

    @_do.register
    async def _(self, action: Hold, key: JobKey, job: JobView | None) -> None:
        if job is None:
            raise ValueError(f"{key} is gone: there is nothing to hold")
        others = [one for one in job.finalizers if one != names.FINALIZER]
        finalizers = [*others, names.FINALIZER] if action.wanted else others
        # A patch replaces the whole list: it must be the one that was seen.
        meta = {"uid": job.uid, "resourceVersion": job.resource_version, "finalizers": finalizers}
        try:
            held = await self.client.patch(
                JOBS, key.name, {"metadata": meta}, namespace=key.namespace
            )
        except NotFound:
            log.info("%s was gone already", key)
            return
        if action.wanted:
            self.expecting.change(key, self.caches.jobs, held)

    async def _post(self, key: JobKey, job: JobView, pod: Json) -> None:
        """POST a pod; what the answer teaches is noted."""
        name = pod["metadata"]["name"]
        try:
            with self.expecting.creation(key, name):
                await self._create(job, pod)
        except (NamespaceTerminating, NotFound) as error:
            # A pod's POST finds nothing missing but its namespace.
            log.info("%s: the namespace is going: %s", key, error)
            self.findings.note(key).namespace_terminating = True
        except (Forbidden, Invalid, BadRequest) as error:
            self.findings.note(key).refusal = Refusal(name, error.status, error.message)
            raise
        else:
            self.findings.note(key).refusal = None

    @_do.register
    async def _(self, action: DeletePod, key: JobKey, job: JobView | None) -> None:  # noqa: ARG002
        try:
            with self.expecting.deletion(key, action.uid, forced=action.grace_seconds == 0):
                await self.client.delete(
                    PODS,
                    action.name,
                    namespace=key.namespace,
                    uid=action.uid,
                    grace_seconds=action.grace_seconds,
                )
        except (NotFound, Conflict):
            log.info("%s: pod %s was gone already", key, action.name)

    @_do.register
    async def _(self, action: AnnotatePod, key: JobKey, job: JobView | None) -> None:  # noqa: ARG002
        # The uid is a precondition: a pod of the same name must not get another's notice.
        body = {"metadata": {"uid": action.uid, "annotations": dict(action.annotations)}}
        try:
            pod = await self.client.patch(PODS, action.name, body, namespace=key.namespace)
        except (NotFound, Conflict, Invalid) as error:
            log.info("%s: pod %s takes no annotation: %s", key, action.name, error)
        else:
            self.expecting.change(key, self.caches.pods, pod)

    @_do.register
    async def _(self, action: DeleteJob, key: JobKey, job: JobView | None) -> None:  # noqa: ARG002
        try:
            await self.client.delete(
                JOBS,
                key.name,
                namespace=key.namespace,
                uid=action.uid,
                resource_version=action.resource_version,
                propagation="Background",
            )
        except (NotFound, Conflict):
            log.info("%s is gone, or is not what it was: its news is waited for", key)

    async def _create(self, job: JobView, pod: Json) -> None:
        try:
            created = await self.client.create(PODS, pod)
        except AlreadyExists:
            await self._adopt(job, pod)
            return
        for warning in created.warnings:
            self.warn(job, warning)

    async def _adopt(self, job: JobView, pod: Json) -> None:
        """The name is taken: by the pod of an earlier POST of ours, or by somebody else's."""
        meta = pod["metadata"]
        try:
            found = await self.client.get(PODS, meta["name"], namespace=meta["namespace"])
        except NotFound:
            raise Conflict(f"pod {meta['name']} has just gone: try again") from None
        if not _is_ours(found, job, pod):
            key = JobKey(job.namespace, job.name)
            self.findings.note(key).foreign.add(meta["name"])
            raise NameTaken(meta["name"])


def _is_ours(found: Json, job: JobView, pod: Json) -> bool:
    """Whether `found` is what an earlier POST of `pod` made."""
    meta = found["metadata"]
    labels, asked = meta.get("labels") or {}, pod["metadata"]["labels"]
    owners = [one["uid"] for one in meta.get("ownerReferences") or () if one.get("controller")]
    same = all(
        labels.get(one) == asked.get(one) for one in (names.LABEL_ATTEMPT, names.LABEL_PURGE)
    )
    return owners == [job.uid] and same


def _said(action: Action) -> str:
    if isinstance(action, CreatePod):
        avoiding = f", avoiding {', '.join(action.excluded_nodes)}" if action.excluded_nodes else ""
        return f"create the pod of attempt {action.attempt}, rank {action.rank}{avoiding}"
    if isinstance(action, DeletePod):
        how = "by force" if action.grace_seconds == 0 else "gracefully"
        return f"delete pod {action.name} {how}: {action.why}"
    if isinstance(action, AnnotatePod):
        return f"annotate pod {action.name} with {', '.join(action.annotations)}"
    if isinstance(action, Hold):
        return "hold the job" if action.wanted else "let the job go"
    if isinstance(action, CreatePurge):
        return f"create the pod that deletes the lineage, try {action.number}"
    return "delete the job, its time is over"
