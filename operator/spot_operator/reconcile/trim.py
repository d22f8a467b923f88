"""What is kept of each object: a cache holds thousands, and decisions read little of each."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from spot_operator.api import names

__all__ = ["trim_job", "trim_lease", "trim_node", "trim_pod"]

Json = dict[str, Any]

_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "ownerReferences",
)
_POD_ANNOTATIONS: Final = (
    names.ANNOTATION_GRANT,
    names.ANNOTATION_NOTICE,
    names.ANNOTATION_NODE,
    names.ANNOTATION_AVOIDS,
    names.ANNOTATION_CA,
    names.ANNOTATION_TRAINER,
    names.ANNOTATION_ENDED,
)
_CONDITION: Final = ("type", "status", "reason", "message", "lastTransitionTime")
"""Without `lastHeartbeatTime`: a heartbeat is not a change."""


def trim_job(job: Json) -> Json:
    """Everything but the bookkeeping of field managers."""
    meta = {key: value for key, value in job["metadata"].items() if key != "managedFields"}
    return {**job, "metadata": meta}


def trim_pod(pod: Json) -> Json:
    """Identity, our annotations, where it runs, and what its containers did."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    annotations = pod["metadata"].get("annotations") or {}
    return {
        "metadata": {
            **_picked(pod["metadata"], _METADATA),
            # Thousands of pods carry the same certificates.
            "annotations": {
                name: sys.intern(text)
                for name, text in _picked(annotations, _POD_ANNOTATIONS).items()
            },
        },
        "spec": {
            **_picked(spec, ("nodeName", "terminationGracePeriodSeconds")),
            "containers": _named(spec.get("containers")),
            "initContainers": _named(spec.get("initContainers")),
        },
        "status": {
            **_picked(status, ("phase", "reason", "message")),
            "conditions": _conditions(status),
            "containerStatuses": status.get("containerStatuses") or [],
            "initContainerStatuses": status.get("initContainerStatuses") or [],
        },
    }


def trim_node(node: Json) -> Json:
    """Identity, labels, taints and conditions."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return {
        "metadata": _picked(node["metadata"], _METADATA),
        "spec": _picked(spec, ("taints", "unschedulable")),
        "status": {
            "conditions": _conditions(status),
            "nodeInfo": _picked(status.get("nodeInfo") or {}, ("bootID",)),
        },
    }


def trim_lease(lease: Json) -> Json:
    """Whose it is, and the last renewal."""
    return {
        "metadata": _picked(lease["metadata"], ("name", "namespace", "uid", "resourceVersion")),
        "spec": _picked(lease.get("spec") or {}, ("renewTime",)),
    }


def _picked(item: Mapping[str, Any], fields: Iterable[str]) -> Json:
    return {name: item[name] for name in fields if name in item}


def _named(containers: Iterable[Json] | None) -> list[Json]:
    """Of an init container that stays also that it does."""
    return [_picked(container, ("name", "restartPolicy")) for container in containers or ()]


def _conditions(status: Mapping[str, Any]) -> list[Json]:
    return [_picked(condition, _CONDITION) for condition in status.get("conditions") or ()]
