"""From actions to calls of the API server: in order, idempotent, each on its own.

One refused write stops no other: where pods may not be annotated they are deleted all the same.
Every refusal is noted by what was asked for, and told once it lasts; an answer is believed only as
far as it proves something, for a webhook may pass on any status of its own calls.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any, Final

from spot_operator.api import names
from spot_operator.api.events import Event
from spot_operator.control.client import Client
from spot_operator.control.clock import Entropy
from spot_operator.control.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Invalid,
    NamespaceTerminating,
    NotFound,
)
from spot_operator.control.resource import PODS, Resource
from spot_operator.domain.actions import (
    Action,
    AnnotatePod,
    CreatePod,
    CreatePurge,
    DeleteJob,
    DeletePod,
    Hold,
    LabelPod,
    Note,
)
from spot_operator.domain.attempt.pod_refusals import not_asked_for
from spot_operator.domain.formats.text import CONDITION_MESSAGE, shorten
from spot_operator.domain.observed.snapshot import JobKey, JobView, Refusal
from spot_operator.reconcile.api_feedback import ApiFeedback
from spot_operator.reconcile.caches import Caches
from spot_operator.reconcile.expecting import Expecting
from spot_operator.reconcile.kinds import JOBS
from spot_operator.render.pod import render_pod
from spot_operator.render.purge import render_purge
from spot_operator.render.settings import RenderSettings

__all__ = ["Actor", "told_of"]

log = logging.getLogger(__name__)

Json = dict[str, Any]

EXPIRED: Final = "delete the job, whose ttlSecondsAfterFinished has passed"
"""What is asked for, and said of it."""


class NameTaken(Exception):  # noqa: N818 - an answer, not a fault
    """A pod's name belongs to somebody else's pod; it is noted, and the plan takes another."""


@dataclass(slots=True)
class Actor:
    """Does what a plan asks for. `tell` writes an Event about a job; it must not fail or wait."""

    client: Client
    caches: Caches
    expecting: Expecting
    findings: ApiFeedback
    entropy: Entropy
    settings: Callable[[], RenderSettings]
    tell: Callable[[JobView, Note], None]

    async def act(self, key: JobKey, job: JobView | None, actions: Sequence[Action]) -> bool:
        """Do every one of `actions`, in order; returns whether to look again at once.

        A refusal stops nothing else, except that no further pod is created after one that could
        not be: the server would say the same of its gang-mates.

        Raises:
            ApiError: the first that came in the way. What was done stays done, and is harmless
                to do again.
        """
        again = self._no_more_asked(key, job, actions)
        errors: list[ApiError] = []
        creating = True
        for action in actions:
            creates = isinstance(action, CreatePod | CreatePurge)
            if creates and not creating:
                continue
            log.info("%s: %s", key, _said(action))
            try:
                await self._do(action, key, job)
            except (NameTaken, NamespaceTerminating) as answer:
                log.info("%s: %s", key, answer)
                again, creating = True, False
            except ApiError as error:
                self._refused(key, job, action, error)
                errors.append(error)
                creating = creating and not creates
            else:
                again = self._accepted(key, job, action) or again
        if errors:
            raise errors[0]
        return again

    def _refused(self, key: JobKey, job: JobView | None, action: Action, error: ApiError) -> None:
        what = asked(action, key)
        if job is None:
            log.warning("%s: the API server refuses to %s: %s", key, what, error)
            return
        finding = self.findings.note(key, job.uid)
        added = ""
        if isinstance(action, CreatePod | CreatePurge):
            added = not_asked_for(error.message, self._rendered(job, action))
        news = finding.refused(what, error, creates=_creates(action, key), added=added)
        # The event about a pod that trains comes with the condition that says so.
        if news is not None and not isinstance(action, CreatePod):
            self.tell(job, told_of(news))

    def _no_more_asked(self, key: JobKey, job: JobView | None, actions: Sequence[Action]) -> bool:
        if job is None:
            return False
        wanted = {asked(action, key) for action in actions}
        return self.findings.about(key, job.uid).keep_only(wanted)

    def _accepted(self, key: JobKey, job: JobView | None, action: Action) -> bool:
        if job is None:
            return False
        finding = self.findings.about(key, job.uid)
        if isinstance(action, CreatePod | CreatePurge):
            finding.foreign.clear()
            finding.terminating_since = None
        return finding.succeeded(asked(action, key))

    @singledispatchmethod
    async def _do(self, action: Action, key: JobKey, job: JobView | None) -> None:
        raise NotImplementedError(type(action).__name__)

    @_do.register
    async def _(self, action: CreatePod, key: JobKey, job: JobView | None) -> None:
        if job is None:
            raise ValueError(f"{key} is gone: no pod is created for it")
        await self._post(key, job, self._rendered(job, action))

    @_do.register
    async def _(self, action: CreatePurge, key: JobKey, job: JobView | None) -> None:
        if job is None:
            raise ValueError(f"{key} is gone: nothing is deleted for it")
        await self._post(key, job, self._rendered(job, action))

    def _rendered(self, job: JobView, action: CreatePod | CreatePurge) -> Json:
        if isinstance(action, CreatePurge):
            return render_purge(job, action.number, self.settings())
        return render_pod(job, action, self.settings(), drain_token=self.entropy.token())

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
            if await self._exists(JOBS, key.name, key.namespace, job.uid):
                raise
            log.info("%s was gone already", key)
            return
        if action.wanted:
            self.expecting.change(key, self.caches.jobs, held)

    async def _post(self, key: JobKey, job: JobView, pod: Json) -> None:
        """POST a pod; an earlier POST of ours may have made it."""
        try:
            with self.expecting.creation(key, pod["metadata"]["name"]):
                created = await self.client.create(PODS, pod)
        except AlreadyExists:
            await self._adopt(key, job, pod)
            return
        except NamespaceTerminating:
            self.findings.namespace_terminates(key, job.uid)
            raise
        for warning in created.warnings:
            self.tell(job, Note("Warning", Event.POD_WARNING, warning))
        await self._keep_in_sight(key, created.object, pod)

    async def _keep_in_sight(self, key: JobKey, stored: Json, pod: Json) -> None:
        """Put back what a webhook took off `pod` at its creation: we find a pod by its labels and
        its owner, and would begin another beside one that we do not find.

        Raises:
            ApiError: it cannot be put back, or is taken off again.
        """
        meta, asked = stored["metadata"], pod["metadata"]
        if _is_marked(stored, pod):
            return
        name = meta["name"]
        log.warning(
            "%s: pod %s was stored without our labels or owner: we put them back", key, name
        )
        others = [
            one for one in meta.get("ownerReferences") or () if one["uid"] not in _controllers(pod)
        ]
        marks = {"labels": _marks(asked), "ownerReferences": others + asked["ownerReferences"]}
        patched = await self._patch_pod(key, name, meta["uid"], **marks)
        if patched is None:
            raise Conflict(f"pod {name} has just gone: try again")
        if not _is_marked(patched, pod):
            raise Conflict(
                f"a webhook takes our labels or owner off pod {name}, without which it cannot be "
                "followed: correct the webhook"
            )

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
            if await self._exists(PODS, action.name, key.namespace, action.uid):
                # Not the answer of the store: a webhook's, say.
                raise
            self._was_gone(key, action.name, action.uid)

    @_do.register
    async def _(self, action: AnnotatePod, key: JobKey, job: JobView | None) -> None:  # noqa: ARG002
        await self._patch_pod(key, action.name, action.uid, annotations=dict(action.annotations))

    @_do.register
    async def _(self, action: LabelPod, key: JobKey, job: JobView | None) -> None:  # noqa: ARG002
        await self._patch_pod(key, action.name, action.uid, labels=dict(action.labels))

    async def _patch_pod(self, key: JobKey, name: str, uid: str, **metadata: Any) -> Json | None:
        """The pod as it is then; None: it was gone already."""
        # The uid is a precondition: a pod of the same name must not get another's notice.
        body = {"metadata": {"uid": uid, **metadata}}
        try:
            pod = await self.client.patch(PODS, name, body, namespace=key.namespace)
        except (NotFound, Conflict, Invalid):
            if await self._exists(PODS, name, key.namespace, uid):
                raise
            self._was_gone(key, name, uid)
            return None
        self.expecting.change(key, self.caches.pods, pod)
        return pod

    def _was_gone(self, key: JobKey, name: str, uid: str) -> None:
        self.expecting.gone(key, uid)
        log.info("%s: pod %s was gone already", key, name)

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
            if await self._exists(
                JOBS, key.name, key.namespace, action.uid, action.resource_version
            ):
                raise
            log.info("%s is gone, or is not what it was: its news is waited for", key)

    async def _adopt(self, key: JobKey, job: JobView, pod: Json) -> None:
        """The name is taken: by the pod of an earlier POST of ours, or by somebody else's."""
        name = pod["metadata"]["name"]
        try:
            found = await self.client.get(PODS, name, namespace=job.namespace)
        except NotFound:
            raise Conflict(f"pod {name} has just gone: try again") from None
        if not _is_ours(found, job, pod):
            self.findings.note(key, job.uid).foreign.add(name)
            raise NameTaken(f"pod name {name} is somebody else's")
        await self._keep_in_sight(key, found, pod)
        self.expecting.change(key, self.caches.pods, found)

    async def _exists(
        self, resource: Resource, name: str, namespace: str, uid: str, version: str = ""
    ) -> bool:
        """Whether that very object is there, in that `version` if given, by the server's word."""
        try:
            found = await self.client.get(resource, name, namespace=namespace)
        except NotFound:
            return False
        meta = found["metadata"]
        return meta["uid"] == uid and version in {"", meta["resourceVersion"]}


def _is_ours(found: Json, job: JobView, pod: Json) -> bool:
    """Whether `found`, which has its name, is what an earlier POST of `pod` made.

    The name says which attempt and rank it is. So the owner is proof without the labels, and where
    there is no owner the labels are: a webhook may have taken off the other.
    """
    owners = _controllers(found)
    labelled = _marks(found["metadata"]) == _marks(pod["metadata"])
    return owners == [job.uid] or (labelled and not owners)


def _is_marked(stored: Json, pod: Json) -> bool:
    labels = _marks(stored["metadata"]) == _marks(pod["metadata"])
    return labels and _controllers(stored) == _controllers(pod)


def _marks(meta: Json) -> Json:
    labels = meta.get("labels") or {}
    return {name: labels[name] for name in names.LABELS if name in labels}


def _controllers(pod: Json) -> list[str]:
    owners = pod["metadata"].get("ownerReferences") or ()
    return [one["uid"] for one in owners if one.get("controller")]


def told_of(refusal: Refusal) -> Note:
    """The event about a write that the API server refuses."""
    message = (
        f"the API server refuses to {refusal.what}; the operator tries again: {refusal.message}"
    )
    reason = Event.PODS_REFUSED if refusal.pod else Event.WRITES_REFUSED
    return Note("Warning", reason, shorten(message, CONDITION_MESSAGE))


def asked(action: Action, key: JobKey) -> str:
    """What `action` asks the API server for, as in "refuses to …"."""
    if isinstance(action, CreatePod | CreatePurge):
        return f"create pod {_creates(action, key)}"
    if isinstance(action, DeletePod):
        return f"delete pod {action.name}"
    if isinstance(action, AnnotatePod):
        return f"annotate pod {action.name}"
    if isinstance(action, LabelPod):
        return f"put our labels back on pod {action.name}"
    if isinstance(action, Hold):
        return f"{'add' if action.wanted else 'remove'} finalizer {names.FINALIZER}"
    return EXPIRED


def _creates(action: Action, key: JobKey) -> str:
    """The name of the pod that `action` creates; empty when it creates none."""
    if isinstance(action, CreatePod):
        return names.pod_name(key.name, action.attempt, action.rank)
    if isinstance(action, CreatePurge):
        return names.purge_pod_name(key.name, action.number)
    return ""


def _said(action: Action) -> str:
    if isinstance(action, CreatePod):
        avoiding = f", avoiding {', '.join(action.barred_nodes)}" if action.barred_nodes else ""
        return f"create the pod of attempt {action.attempt}, rank {action.rank}{avoiding}"
    if isinstance(action, DeletePod):
        how = "by force" if action.grace_seconds == 0 else "gracefully"
        return f"delete pod {action.name} {how}: {action.why}"
    if isinstance(action, AnnotatePod | LabelPod):
        given = action.labels if isinstance(action, LabelPod) else action.annotations
        verb = "label" if isinstance(action, LabelPod) else "annotate"
        return f"{verb} pod {action.name} with {', '.join(given)}"
    if isinstance(action, Hold):
        return "hold the job" if action.wanted else "let the job go"
    if isinstance(action, CreatePurge):
        return f"create the pod that deletes the lineage, try {action.number}"
    return EXPIRED
