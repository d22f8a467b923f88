"""The pod that deletes the lineage of a deleted job: the sidecar's image and rights, no trainer."""

import json
from collections.abc import Mapping
from typing import Any, Final

from spot_operator.api import names
from spot_operator.domain.checkpoint_deletion import LIMIT
from spot_operator.domain.observed.snapshot import JobView
from spot_operator.render.placement import tolerations
from spot_operator.render.pod import in_our_group, owner
from spot_operator.render.settings import RenderSettings
from spot_operator.render.sidecar import (
    CONFIG_VERSION,
    job_name,
    no_metadata_credentials,
    pull_secrets,
    resources,
    security,
    store_config,
)
from spot_operator.render.taken_over import finds_services, kept_by_purge, without_queues
from spot_operator.render.volumes import SIDECAR_EXTRA_BYTES, store_mounts, store_volumes

__all__ = ["render_purge"]

Json = dict[str, Any]

COMMAND: Final = ("python3", "-m", "spot_sidecar.purge")
CHOOSY: Final = 2
"""Tries with the nodes, runtime class, scheduler and priority class that the template asks for;
after them any that will do."""


def render_purge(job: JobView, number: int, settings: RenderSettings) -> Json:
    """The manifest to POST for this try. Spot nodes will do as well as others.

    It has of the template what `taken_over` says: who it is, how it comes by its image, its node
    and its sandbox, and by which labels others know the team's pods.

    A deletion of the job in the foreground must not take it along before it is done: it blocks
    nothing, and goes when the job is gone.
    """
    template, meta = job.spec.template["spec"], job.spec.template.get("metadata") or {}
    store, at_first = job.spec.checkpoint.store, number <= CHOOSY
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.purge_pod_name(job.name, number),
            "namespace": job.namespace,
            "labels": {
                **without_queues(meta.get("labels") or {}),
                names.LABEL_JOB: job.name,
                names.LABEL_JOB_UID: job.uid,
                names.LABEL_PURGE: str(number),
            },
            "annotations": without_queues(meta.get("annotations") or {}),
            "ownerReferences": [owner(job, blocks=False)],
        },
        "spec": {
            **kept_by_purge(template, at_first=at_first),
            **finds_services(template),
            **(_affinity(template) if at_first else {}),
            **pull_secrets(template, settings),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(LIMIT.total_seconds()),
            "containers": [_container(job, settings)],
            "volumes": store_volumes(store),
            "securityContext": in_our_group(template.get("securityContext") or {}),
            "tolerations": tolerations(template.get("tolerations") or ()),
        },
    }


def _affinity(template: Mapping[str, Any]) -> Json:
    """Where the template lets its pods run, whatever else runs there."""
    nodes = (template.get("affinity") or {}).get("nodeAffinity")
    return {"affinity": {"nodeAffinity": nodes}} if nodes else {}


def _container(job: JobView, settings: RenderSettings) -> Json:
    store = job.spec.checkpoint.store
    config = {"version": CONFIG_VERSION, "job": job_name(job), "store": store_config(store)}
    return {
        "name": names.PURGE_CONTAINER,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": list(COMMAND),
        "env": [
            {"name": names.ENV_CONFIG, "value": json.dumps(config, separators=(",", ":"))},
            *no_metadata_credentials(store),
        ],
        "resources": resources(SIDECAR_EXTRA_BYTES, settings),
        "securityContext": security(job),
        "volumeMounts": store_mounts(store),
    }
