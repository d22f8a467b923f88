"""One pod of one attempt: the job's template with the sidecar in it.

What the template says stays, but for what the design forbids (the CRD's rules refuse it before it
comes here): `restartPolicy`, names that begin with `spot-`, the trainer's own preStop hook.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from spot_operator.api import names
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.observed.snapshot import JobView
from spot_operator.render.grant import grant_annotation
from spot_operator.render.placement import node_affinity, there_is_room_for, tolerations
from spot_operator.render.settings import RenderSettings
from spot_operator.render.sidecar import pull_secrets, sidecar_container
from spot_operator.render.taken_over import api_token, finds_services
from spot_operator.render.trainer import trainer_container
from spot_operator.render.volumes import volumes

__all__ = ["DEFAULT_GRACE_SECONDS", "in_our_group", "owner", "render_pod"]

Json = dict[str, Any]

DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
"""The annotation that tells `kubectl logs` and `kubectl exec` which container is meant."""
DEFAULT_GRACE_SECONDS: Final = 120
"""Grace of a pod whose template says nothing: what AWS gives from notice to end."""


def render_pod(
    job: JobView, action: CreatePod, settings: RenderSettings, *, drain_token: str
) -> Json:
    """The manifest to POST, complete but for the server's defaults.

    `drain_token` is a secret of this one pod, drawn for each: with it the kubelet's preStop
    call is told from anybody else's. The result shares nothing mutable with `job`.
    """
    template = job.spec.template
    action = _small_enough(action, template["spec"])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(template.get("metadata") or {}, job, action, settings),
        "spec": _spec(template["spec"], job, action, settings, drain_token),
    }


def _small_enough(action: CreatePod, template: Mapping[str, Any]) -> CreatePod:
    """`action` with nodes as a last resort only that there is no room to bar."""
    own = (template.get("affinity") or {}).get("nodeAffinity")
    named = there_is_room_for(action.barred_nodes, own)
    others = set(action.barred_nodes) - set(named)
    if not others:
        return action
    last = tuple(sorted({*action.last_resort_nodes, *others}))
    return replace(action, barred_nodes=named, last_resort_nodes=last)


def _metadata(
    template: Mapping[str, Any], job: JobView, action: CreatePod, settings: RenderSettings
) -> Json:
    return {
        "name": names.pod_name(job.name, action.attempt, action.rank),
        "namespace": job.namespace,
        "labels": {
            **(template.get("labels") or {}),
            **names.pod_labels(job.name, job.uid, action.attempt, action.rank),
        },
        "annotations": {
            DEFAULT_CONTAINER: job.trainer,
            **(template.get("annotations") or {}),
            names.ANNOTATION_TRAINER: job.trainer,
            names.ANNOTATION_GRANT: grant_annotation(action.grant),
            names.ANNOTATION_CA: settings.ca_bundle,
            **_avoids(action),
        },
        "ownerReferences": [owner(job, blocks=True)],
    }


def _avoids(action: CreatePod) -> Json:
    barred = ",".join(sorted(action.barred_nodes))
    return {names.ANNOTATION_AVOIDS: barred} if barred else {}


def owner(job: JobView, *, blocks: bool) -> Json:
    """The reference by which a pod goes with its job; `blocks`: a deletion in the foreground
    deletes it before the job goes."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.JOB_KIND,
        "name": job.name,
        "uid": job.uid,
        "controller": True,
        "blockOwnerDeletion": blocks,
    }


def _spec(
    template: Mapping[str, Any],
    job: JobView,
    action: CreatePod,
    settings: RenderSettings,
    drain_token: str,
) -> Json:
    grace = template.get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    sidecar = sidecar_container(job, action, settings, drain_token=drain_token, grace=grace)
    return {
        **template,
        **api_token(template),
        **finds_services(template),
        **pull_secrets(template, settings),
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace,
        "initContainers": [sidecar, *(template.get("initContainers") or ())],
        "containers": [
            trainer_container(container, job, action, drain_token=drain_token)
            if container["name"] == job.trainer
            else container
            for container in template["containers"]
        ],
        "volumes": [*(template.get("volumes") or ()), *volumes(job.spec.checkpoint)],
        "securityContext": in_our_group(template.get("securityContext") or {}),
        "tolerations": tolerations(template.get("tolerations") or ()),
        "affinity": _affinity(template.get("affinity") or {}, action),
    }


def in_our_group(template: Mapping[str, Any]) -> Json:
    """The pod's security context, the trainer let into the sidecar's group.

    fsGroup would re-own a user's whole data set.
    """
    groups = template.get("supplementalGroups") or []
    ours = [] if names.SIDECAR_UID in groups else [names.SIDECAR_UID]
    return {**template, "supplementalGroups": [*groups, *ours]}


def _affinity(template: Mapping[str, Any], action: CreatePod) -> Json:
    nodes = node_affinity(
        template.get("nodeAffinity"), action.barred_nodes, action.last_resort_nodes
    )
    return {**template, "nodeAffinity": nodes}
