"""How kinds differ on the server: subresources, defaults, what an update may change."""

from collections.abc import Callable
from dataclasses import dataclass

from spot_operator.control.client import Json
from spot_operator.control.errors import Invalid
from spot_operator.control.resource import (
    CLUSTERROLES,
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PODS,
    PRIORITYCLASSES,
    SECRETS,
    SERVICES,
    Resource,
)

__all__ = ["BUILT_IN", "Kind", "custom"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the server does with a kind beyond storing it."""

    resource: Resource
    status: bool = False
    """Has a status subresource: creating and replacing leave the status alone, and it the rest."""
    scale: bool = False
    """Has a scale subresource, through which the replicas are set."""
    generation: bool = False
    """Counts changes of anything but metadata and status in `metadata.generation`."""
    blind_updates: bool = True
    """Accepts a PUT without a resourceVersion."""
    graceful: bool = False
    """Is ended by somebody else (the kubelet) before it goes."""
    default: Callable[[Json], None] = lambda _: None
    """Fills in what the creator left out, in place."""
    check_update: Callable[[Json, Json], None] = lambda _old, _new: None
    """Raises Invalid when a field changed that may not."""


def custom(resource: Resource) -> Kind:
    """A kind defined by a CustomResourceDefinition with a status subresource."""
    return Kind(resource, status=True, generation=True, blind_updates=False)


def _default_pod(pod: Json) -> None:
    spec = pod.setdefault("spec", {})
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    pod["status"] = {"phase": "Pending"}


def _check_pod_update(old: Json, new: Json) -> None:
    before, after = _fixed_part(old["spec"]), _fixed_part(new["spec"])
    if before != after:
        changed = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
        raise Invalid(f"spec: Forbidden: pod updates may not change {', '.join(changed)}")
    gates = [new["spec"].get("schedulingGates") or [], old["spec"].get("schedulingGates") or []]
    if any(gate not in gates[1] for gate in gates[0]):
        raise Invalid("spec.schedulingGates: Forbidden: only deletion is allowed")


def _fixed_part(spec: Json) -> Json:
    """A pod's spec without what may change: gates, images, tolerations, the deadline."""
    free = {"schedulingGates", "tolerations", "activeDeadlineSeconds"}
    fixed = {key: value for key, value in spec.items() if key not in free}
    for group in ("containers", "initContainers"):
        fixed[group] = [{**each, "image": ""} for each in spec.get(group) or ()]
    return fixed


def _default_namespace(namespace: Json) -> None:
    namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace["status"] = {"phase": "Active"}


BUILT_IN: tuple[Kind, ...] = (
    Kind(
        PODS,
        status=True,
        generation=True,
        graceful=True,
        default=_default_pod,
        check_update=_check_pod_update,
    ),
    Kind(NODES, status=True),
    Kind(NAMESPACES, status=True, default=_default_namespace),
    Kind(SERVICES, status=True),
    Kind(PERSISTENTVOLUMECLAIMS, status=True),
    Kind(CONFIGMAPS),
    Kind(SECRETS),
    Kind(LEASES, blind_updates=False),
    Kind(EVENTS),
    Kind(ENDPOINTSLICES, generation=True),
    Kind(PRIORITYCLASSES, generation=True),
    Kind(CLUSTERROLES),
    Kind(DEPLOYMENTS, status=True, scale=True, generation=True),
)
