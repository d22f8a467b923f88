"""The pod that deletes the lineage of a deleted job: the sidecar's image and rights, no trainer."""

import json
from typing import Any, Final

from spot_operator.api import names
from spot_operator.domain.purging import LIMIT, purge_name
from spot_operator.domain.snapshot import JobView
from spot_operator.render.placement import tolerations
from spot_operator.render.pod import in_our_group, owner
from spot_operator.render.settings import RenderSettings
from spot_operator.render.sidecar import (
    CONFIG_VERSION,
    job_name,
    no_metadata_credentials,
    security,
    store_config,
)
from spot_operator.render.volumes import SIDECAR_EXTRA_BYTES, store_mounts, store_volumes

__all__ = ["render_purge"]

Json = dict[str, Any]

COMMAND: Final = ("python3", "-m", "spot_sidecar.purge")
TAKEN_OVER: Final = ("serviceAccountName", "imagePullSecrets", "runtimeClassName")
"""Of the template: who the pod is, and how it comes by its image and its sandbox."""


def render_purge(job: JobView, number: int, settings: RenderSettings) -> Json:
    """The manifest to POST for this try. Any node will do, spot or not.

    A deletion of the job in the foreground must not take it along before it is done: it blocks
    nothing, and goes when the job is gone.
    """
    template = job.spec.template["spec"]
    store = job.spec.checkpoint.store
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": purge_name(job, number),
            "namespace": job.namespace,
            "labels": {
                names.LABEL_JOB: job.name,
                names.LABEL_JOB_UID: job.uid,
                names.LABEL_PURGE: str(number),
            },
            "ownerReferences": [owner(job, blocks=False)],
        },
        "spec": {
            **{field: template[field] for field in TAKEN_OVER if field in template},
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


def _container(job: JobView, settings: RenderSettings) -> Json:
    store = job.spec.checkpoint.store
    config = {"version": CONFIG_VERSION, "job": job_name(job), "store": store_config(store)}
    memory = str(SIDECAR_EXTRA_BYTES)
    return {
        "name": names.PURGE_CONTAINER,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": list(COMMAND),
        "env": [
            {"name": names.ENV_CONFIG, "value": json.dumps(config, separators=(",", ":"))},
            *no_metadata_credentials(store),
        ],
        "resources": {
            "requests": {"cpu": settings.sidecar_cpu_request, "memory": memory},
            "limits": {"memory": memory},
        },
        "securityContext": security(job),
        "volumeMounts": store_mounts(store),
    }
