"""What becomes of each field of a template's pod spec, in the training pod and in the purge pod.

A field that Kubernetes adds is classified here before it enters the schema: a test compares.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

__all__ = [
    "POD",
    "Row",
    "Taken",
    "api_token",
    "finds_services",
    "kept_by_purge",
    "without_queues",
]

Json = dict[str, Any]


class Taken(StrEnum):
    """What becomes of a field."""

    KEPT = "kept"
    """As the template says."""
    AT_FIRST = "at first"
    """As the template says for the first tries; left out once they have failed."""
    JOINED = "joined"
    """The template's together with the operator's."""
    OURS = "ours"
    """The operator's alone, whatever the template says."""
    LEFT = "left"
    """Left out."""
    REFUSED = "refused"
    """The template may not have it."""


class Row(NamedTuple):
    """One field."""

    training: Taken
    purge: Taken
    why: str


_K, _J, _O, _L, _R = Taken.KEPT, Taken.JOINED, Taken.OURS, Taken.LEFT, Taken.REFUSED
_F = Taken.AT_FIRST

POD: Final[Mapping[str, Row]] = {
    "activeDeadlineSeconds": Row(_R, _O, "it would end attempts; a try to purge is bounded by it"),
    "affinity": Row(
        _J,
        _J,
        "spot pools and excluded nodes are for training; a purge needs the nodes of its team, and "
        "no neighbours: after two tries any node",
    ),
    "automountServiceAccountToken": Row(
        _J,
        _O,
        "see api_token; a purge asks nothing of the API server, and clouds' identities come "
        "by tokens of their own",
    ),
    "containers": Row(_J, _O, "the trainer gets its hook and mount; a purge has one container"),
    "dnsConfig": Row(_K, _K, "how the store's name is found"),
    "dnsPolicy": Row(_J, _J, "how the store's and the operator's names are found"),
    "enableServiceLinks": Row(_K, _O, "variables of Services serve the trainer alone"),
    "ephemeralContainers": Row(_R, _L, "no pod can be created with them"),
    "evictionResponders": Row(_K, _L, "they wait for a trainer to save its state"),
    "hostAliases": Row(_K, _K, "how the store's name is found"),
    "hostIPC": Row(_K, _L, "for trainers that share memory with the node"),
    "hostNetwork": Row(_K, _K, "how InfiniBand, the store or the node's metadata are reached"),
    "hostPID": Row(_R, _L, "it opens the sidecar's files to the trainer"),
    "hostUsers": Row(_K, _K, "who owns files in a volume depends on it"),
    "hostname": Row(_K, _L, "the trainer's name"),
    "hostnameOverride": Row(_K, _L, "the trainer's name"),
    "imagePullSecrets": Row(_J, _J, "those of the sidecar's image are added, see pull_secrets"),
    "initContainers": Row(_J, _L, "they prepare training"),
    "nodeName": Row(_R, _L, "the scheduler places every pod"),
    "nodeSelector": Row(_K, _F, "the nodes of the team: after two tries any node"),
    "os": Row(_K, _K, "Linux, if anything"),
    "overhead": Row(_K, _F, "what the runtime class costs"),
    "preemptionPolicy": Row(_K, _F, "goes with the priority class"),
    "priority": Row(_K, _F, "goes with the priority class"),
    "priorityClassName": Row(
        _K, _F, "quotas and policies go by it; one that was deleted lets no pod be created"
    ),
    "readinessGates": Row(_K, _L, "nobody waits for a purge to be ready"),
    "resourceClaims": Row(_K, _L, "devices are for training"),
    "resources": Row(_K, _L, "the trainer's; a purge has the resources of its one container"),
    "restartPolicy": Row(_O, _O, "Never: a new attempt, or a new try, replaces the restart"),
    "runtimeClassName": Row(
        _K,
        _F,
        "the sandbox that the nodes or policies ask for; a purge asks for no GPU, and the nodes to "
        "which it comes may not have it",
    ),
    "schedulerName": Row(
        _K,
        _F,
        "who places pods on the nodes of the team; one for gangs may leave a single pod alone",
    ),
    "schedulingGates": Row(_K, _L, "nobody would lift them for a purge"),
    "schedulingGroup": Row(_K, _L, "a purge is of no gang"),
    "securityContext": Row(_J, _J, "the sidecar's group is added"),
    "serviceAccount": Row(_K, _K, "the identity that reaches the store"),
    "serviceAccountName": Row(_K, _K, "the identity that reaches the store"),
    "setHostnameAsFQDN": Row(_K, _L, "the trainer's name"),
    "shareProcessNamespace": Row(_R, _L, "it opens the sidecar's files to the trainer"),
    "subdomain": Row(_K, _L, "the trainer's name"),
    "terminationGracePeriodSeconds": Row(_J, _L, "for the last save; 120 s where it says nothing"),
    "tolerations": Row(_J, _J, "every provider's spot nodes"),
    "topologySpreadConstraints": Row(_K, _L, "a purge pod is alone"),
    "volumes": Row(_J, _O, "a purge mounts what its store needs"),
}
"""Every field of a PodSpec of the newest supported Kubernetes."""

_QUEUES: Final = (
    "kueue.x-k8s.io/",
    "scheduling.k8s.io/",
    "scheduling.x-k8s.io/",
    "scheduling.sigs.k8s.io/",
    "pod-group.scheduling.sigs.k8s.io",
    "scheduling.volcano.sh/",
    "volcano.sh/",
    "yunikorn.apache.org/",
    # Names a container of the template, which a purge pod has not: the server would refuse it.
    "container.apparmor.security.beta.kubernetes.io/",
)


def kept_by_purge(template: Mapping[str, Any], *, at_first: bool) -> Json:
    """The fields of a template's pod spec that a purge pod takes over as they are."""
    taken = {Taken.KEPT, Taken.AT_FIRST} if at_first else {Taken.KEPT}
    return {
        field: value
        for field, value in template.items()
        if field in POD and POD[field].purge in taken
    }


def without_queues(keys: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations of a template for a purge pod: it waits in no queue and for no gang.

    The rest is kept: meshes, network policies and the clouds' identities go by it.
    """
    return {key: value for key, value in keys.items() if not key.startswith(_QUEUES)}


def api_token(template: Mapping[str, Any]) -> Json:
    """`automountServiceAccountToken` of a training pod of this template.

    Without it a pod that needs no access to the API would get a token to it. One that names its
    service account gets what that account says, as any other pod.
    """
    named = template.get("serviceAccountName") or template.get("serviceAccount")
    said = template.get("automountServiceAccountToken")
    if said is None and not named:
        return {"automountServiceAccountToken": False}
    return {} if said is None else {"automountServiceAccountToken": said}


def finds_services(template: Mapping[str, Any]) -> Json:
    """`dnsPolicy` of a pod of this template, by which the sidecar finds the operator.

    In the node's network the kubelet takes ClusterFirst, which is the default, for the node's own
    name servers, and those know no Service.
    """
    said = template.get("dnsPolicy")
    if template.get("hostNetwork") and said in {None, "ClusterFirst"}:
        return {"dnsPolicy": "ClusterFirstWithHostNet"}
    return {} if said is None else {"dnsPolicy": said}
