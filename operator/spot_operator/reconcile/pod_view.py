"""A pod of the cache as decisions see it.

Annotations may be written by whoever may write pods: what cannot be read counts as absent.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, get_args

from spot_operator.api import names
from spot_operator.api.template_rules import MAX_GRACE_SECONDS
from spot_operator.domain.formats.foreign_json import read_object
from spot_operator.domain.formats.timestamps import clipped
from spot_operator.domain.observed.snapshot import (
    GATED,
    ConditionView,
    ContainerView,
    PodView,
    trainer_of,
)
from spot_operator.domain.state.ledger import NodeIdentity, Notice

__all__ = ["condition_views", "moment", "owner_of", "pod_view"]

Json = dict[str, Any]

DEFAULT_GRACE: Final = 30
"""What the API server gives a pod that says nothing."""
LONGEST_NAME: Final = 253
"""Of any object of the API, its uid and a boot id included."""
DIGITS: Final = 8
"""Of the number of an attempt, in the ids of its checkpoints too."""
LONG_AGO: Final = 2000
"""A year before which no container ever started."""
UNSCHEDULABLE: Final = "Unschedulable"
"""The reason of a pod that no node takes; any other is told beside its message."""
_NOTICE_KINDS: Final = frozenset(get_args(Notice.__annotations__["kind"]))


def pod_view(pod: Json, *, gone: bool = False, trainer: str = "") -> PodView:
    """The view of a trimmed pod; `gone` when this is the last state of one that is gone.

    `trainer` is the name of the container that trains by the job's template, for a pod that does
    not say so itself: one of an operator that did not write it yet, or that somebody changed.
    """
    meta, spec, status = pod["metadata"], pod["spec"], pod["status"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    containers = {one.name: one for one in _containers(pod)}
    trains = _trainer_name(pod, trainer)
    conditions = condition_views(status)
    return PodView(
        name=meta["name"],
        uid=meta["uid"],
        attempt=_number(labels.get(names.LABEL_ATTEMPT)),
        rank=_number(labels.get(names.LABEL_RANK)),
        purge=_number(labels[names.LABEL_PURGE]) if names.LABEL_PURGE in labels else None,
        owner_uid=owner_of(pod),
        phase=status.get("phase") or "Pending",
        gone=gone,
        deletion_at=moment(meta.get("deletionTimestamp")),
        grace_seconds=_grace(meta, spec),
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        conditions=conditions,
        node_name=spec.get("nodeName"),
        node_identity=_identity(annotations.get(names.ANNOTATION_NODE)),
        trainer=_first_run(containers.pop(trains, ContainerView(trains)), status),
        sidecar=containers.pop(names.SIDECAR_CONTAINER, ContainerView(names.SIDECAR_CONTAINER)),
        others=tuple(containers.values()),
        created_at=moment(meta.get("creationTimestamp")),
        unschedulable=_unschedulable(conditions),
        avoids=_listed(annotations.get(names.ANNOTATION_AVOIDS)),
        grant=annotations.get(names.ANNOTATION_GRANT),
        notice=_notice(annotations.get(names.ANNOTATION_NOTICE)),
        trusts=annotations.get(names.ANNOTATION_CA) or "",
        told_of_end=names.ANNOTATION_ENDED in annotations,
    )


def condition_views(status: Mapping[str, Any]) -> tuple[ConditionView, ...]:
    """The conditions of a pod's or node's status."""
    return tuple(
        ConditionView(
            type=one["type"],
            status=one["status"],
            reason=one.get("reason") or "",
            message=one.get("message") or "",
            since=moment(one.get("lastTransitionTime")),
        )
        for one in status.get("conditions") or ()
    )


def owner_of(pod: Json) -> str:
    """Uid of the SpotTrainingJob that the pod names as its controller; empty without one.

    Anybody may name any uid: whether that job is in the pod's namespace is for who uses it.
    """
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == names.JOB_KIND:
            return str(owner["uid"])
    return ""


def moment(text: str | None) -> datetime | None:
    """A Kubernetes time; None for none. Raises ValueError for any other text."""
    at = datetime.fromisoformat(text) if text else None
    return at if at is None or at.tzinfo is None else clipped(at)


def _containers(pod: Json) -> Iterator[ContainerView]:
    """Every container, init containers first; one without a status yet is all None."""
    for kind in ("initContainers", "containers"):
        field = "initContainerStatuses" if kind == "initContainers" else "containerStatuses"
        known = {one["name"]: one for one in pod["status"].get(field) or ()}
        for container in pod["spec"].get(kind) or ():
            name, is_init = container["name"], kind == "initContainers"
            stays = is_init and container.get("restartPolicy") == "Always"
            yield _container(name, known.get(name, {}), is_init=is_init, stays=stays)


def _container(
    name: str, status: Mapping[str, Any], *, is_init: bool = False, stays: bool = False
) -> ContainerView:
    state = status.get("state") or {}
    found = next((one for one in ("running", "terminated", "waiting") if one in state), None)
    detail = (state.get(found) or {}) if found else {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    return ContainerView(
        name=name,
        state=found,  # type: ignore[arg-type]  # one of the three literals
        reason=detail.get("reason") or "",
        message=detail.get("message") or "",
        exit_code=detail.get("exitCode"),
        started_at=_happened(detail.get("startedAt")),
        finished_at=_happened(detail.get("finishedAt")),
        restarts=status.get("restartCount") or 0,
        last_message=last.get("message") or "",
        last_reason=last.get("reason") or "",
        sick_device=_sick_device(status),
        is_init=is_init,
        stays=stays,
        probed=found == "running" and status.get("started") is False,
    )


def _sick_device(status: Mapping[str, Any]) -> str:
    """Kubelets of 1.36 and later write it; a device whose health is not known does not count."""
    for resource in status.get("allocatedResourcesStatus") or ():
        for device in resource.get("resources") or ():
            if device.get("health") == "Unhealthy":
                return f"{resource['name']} {device['resourceID']}"
    return ""


def _happened(text: str | None) -> datetime | None:
    """A time in a container's status; None for what runtimes write of what never happened.

    A kubelet gives a runtime's 0 as 1970, and what CRI-O makes of Go's zero time as 1754.
    """
    found = moment(text)
    return None if found is None or found.year < LONG_AGO else found


def _trainer_name(pod: Json, by_template: str) -> str:
    """The container that was the trainer when the pod was made; webhooks add others to it."""
    there = [str(one["name"]) for one in pod["spec"]["containers"]]
    if names.LABEL_PURGE in (pod["metadata"].get("labels") or {}):
        return names.PURGE_CONTAINER
    noted = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_TRAINER)
    return next((one for one in (noted, by_template) if one in there), None) or trainer_of(there)


def _first_run(trainer: ContainerView, status: Mapping[str, Any]) -> ContainerView:
    """Of a trainer that was started again, which only a changed pod lets happen: its run before."""
    found = (one for one in status.get("containerStatuses") or () if one["name"] == trainer.name)
    known: Mapping[str, Any] = next(found, {})
    before = (known.get("lastState") or {}).get("terminated")
    if trainer.ended or not trainer.restarts or before is None:
        return trainer
    again = {**known, "state": {"terminated": before}, "lastState": {}}
    return _container(trainer.name, again)


def _grace(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> int:
    grace = meta.get("deletionGracePeriodSeconds")
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds")
    # A negative one counts as 1, as the kubelet has it; one beyond the bound was stored before it.
    return (
        DEFAULT_GRACE if grace is None else min(int(grace) if grace >= 0 else 1, MAX_GRACE_SECONDS)
    )


def _number(label: str | None) -> int:
    # Whoever changed our label by hand has made the pod one of no attempt. A number beyond ours,
    # once taken for the newest attempt's, would stand in no status and in no checkpoint's id.
    ours = label and len(label) <= DIGITS and label.isascii() and label.isdigit()
    return int(label) if label and ours else -1


def _unschedulable(conditions: tuple[ConditionView, ...]) -> str | None:
    """What a scheduler says of a pod that it does not place; its reason may be any.

    Of one with scheduling gates the API server says so: no scheduler has looked at it.
    """
    for one in conditions:
        unplaced = one.type == "PodScheduled" and one.status == "False"
        if unplaced and one.reason == UNSCHEDULABLE:
            return one.message
        if unplaced and one.reason != GATED:
            return ": ".join(filter(None, (one.reason, one.message)))
    return None


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (text or "").split(",")))


def _identity(text: str | None) -> NodeIdentity | None:
    body = read_object(text)
    parts = [body.get(field) for field in ("name", "uid", "bootID")]
    if not all(isinstance(part, str) and len(part) <= LONGEST_NAME for part in parts):
        return None
    return NodeIdentity(*map(str, parts))


def _notice(text: str | None) -> Notice | None:
    body = read_object(text)
    try:
        observed, deadline = moment(body["observedAt"]), moment(body.get("deadline"))
    except (KeyError, TypeError, ValueError):
        return None
    aware = all(one is None or one.tzinfo for one in (observed, deadline))
    if str(body.get("kind")) not in _NOTICE_KINDS or observed is None or not aware:
        return None
    return Notice(
        kind=body["kind"],
        deadline=deadline,
        source=str(body.get("source", "")),
        observed_at=observed,
        raw=str(body.get("raw", "")),
    )
