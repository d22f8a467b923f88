"""The pod that deletes a lineage: the job's identity and store, the sidecar's rights."""

import json
from typing import Any

import pytest
from kit.jobs import a_job, a_template
from spot_operator.domain.observed.snapshot import JobView
from spot_operator.render.pod import render_pod
from spot_operator.render.purge import render_purge
from spot_sidecar.config.spot_config import parse_purge_config
from unit.render.test_pods_as_rendered import FIRST, RICH_TEMPLATE, SETTINGS

Json = dict[str, Any]

KEYS = {"s3": {"bucket": "ckpt", "credentialsSecretName": "store-keys"}}
OWN_IDENTITY = {"s3": {"bucket": "ckpt", "caBundle": {"configMapName": "ca"}}}
VOLUME = {"volume": {"claimName": "nas", "path": "teams"}}
STORES = pytest.mark.parametrize("store", [KEYS, OWN_IDENTITY, VOLUME], ids=str)


def a_rich_job(store: Json, **checkpoint: Any) -> JobView:
    return a_job(template=RICH_TEMPLATE, checkpoint={"store": store, **checkpoint})


def the_container(pod: Json) -> Json:
    (container,) = pod["spec"]["containers"]
    found: Json = container
    return found


@STORES
def test_it_sees_the_store_exactly_as_the_sidecar_does(store: Json) -> None:
    job = a_rich_job(store)
    pod = render_purge(job, 2, SETTINGS)
    training = render_pod(job, FIRST, SETTINGS, drain_token="secret-token")
    sidecar = training["spec"]["initContainers"][0]
    container = the_container(pod)
    assert container["image"] == sidecar["image"]
    assert container["securityContext"] == sidecar["securityContext"]
    assert all(mount in sidecar["volumeMounts"] for mount in container["volumeMounts"])
    assert all(volume in training["spec"]["volumes"] for volume in pod["spec"]["volumes"])
    told, asked = (json.loads(one["env"][0]["value"]) for one in (container, sidecar))
    assert told == {"version": 1, "job": asked["job"], "store": asked["store"]}
    metadata = "AWS_EC2_METADATA_DISABLED"
    assert (metadata in str(container["env"])) == (metadata in str(sidecar["env"]))


@STORES
def test_the_purge_reads_what_it_is_told(store: Json) -> None:
    job = a_rich_job(store)
    read = parse_purge_config(the_container(render_purge(job, 1, SETTINGS))["env"][0]["value"])
    assert (read.job.namespace, read.job.name, read.job.uid) == (job.namespace, job.name, job.uid)


def test_it_has_the_jobs_identity_and_nothing_that_only_training_needs() -> None:
    spec = render_purge(a_rich_job(KEYS), 1, SETTINGS)["spec"]
    assert spec["serviceAccountName"] == "trainer"
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {"runAsUser": 1000, "supplementalGroups": [7, 65532]}
    assert (spec["nodeSelector"], spec["priorityClassName"]) == ({"disk": "ssd"}, "experiment")
    assert "initContainers" not in spec
    assert set(the_container({"spec": spec})["resources"]["limits"]) == {"memory"}
    keys = {one.get("key") for one in spec["tolerations"]}
    assert {"cloud.google.com/gke-spot", "nvidia.com/gpu", "team"} <= keys


def test_it_is_bounded_and_restricted() -> None:
    spec = render_purge(a_job(), 1, SETTINGS)["spec"]
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 1800)
    rights = spec["containers"][0]["securityContext"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["runAsNonRoot"] is True
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}


def test_files_that_a_script_owns_are_deleted_as_who_wrote_them() -> None:
    directory = {"path": "/out", "format": "Plain"}
    job = a_rich_job(VOLUME, source={"directory": directory})
    assert the_container(render_purge(job, 1, SETTINGS))["securityContext"]["runAsUser"] == 1000


def test_it_goes_with_the_job_and_not_before() -> None:
    meta = render_purge(a_job(template=a_template()), 3, SETTINGS)["metadata"]
    assert meta["name"] == "digits-purge-3"
    assert meta["labels"] == {
        "spottraining.dev/job": "digits",
        "spottraining.dev/job-uid": "uid-of-digits",
        "spottraining.dev/purge": "3",
    }
    (owner,) = meta["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == ("uid-of-digits", True)
    assert owner["blockOwnerDeletion"] is False, "a deletion in the foreground would take it along"
