"""What is rendered is what a strict API server stores, field by field."""

from typing import Any

import pytest
import yaml
from kit.jobs import a_job
from spot_operator.render.purge import render_purge
from stage.kube import Kube
from unit.render.test_pods_as_rendered import GOLDEN, RICH_TEMPLATE, SETTINGS, rendered

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]


@pytest.mark.parametrize("name", ["plain", "rich"])
def test_the_pods_written_down_are_accepted_strictly(kube: Kube, name: str) -> None:
    pod = yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())
    stored = expect_accepted(kube, pod)
    for term in terms(stored["spec"]):
        assert term in terms(pod["spec"])
    assert stored["spec"]["initContainers"][0]["restartPolicy"] == "Always"


@pytest.mark.parametrize(
    "store",
    [
        {"volume": {"claimName": "ckpt", "path": "teams/vision"}},
        {"s3": {"bucket": "ckpt", "caBundle": {"secretName": "ca"}, "addressing": "VirtualHost"}},
        {"s3": {"bucket": "ckpt", "caBundle": {"configMapName": "ca", "key": "root.pem"}}},
    ],
    ids=str,
)
def test_what_a_store_needs_is_mounted_as_it_is_written_down(kube: Kube, store: Json) -> None:
    pod = rendered(checkpoint={"store": store})
    stored = expect_accepted(kube, pod)["spec"]
    asked = [one for one in pod["spec"]["volumes"] if one["name"] in ("spot-store", "spot-ca")]
    assert len(asked) == 1
    assert asked[0] in stored["volumes"]
    wanted = pod["spec"]["initContainers"][0]["volumeMounts"]
    assert stored["initContainers"][0]["volumeMounts"] == wanted


@pytest.mark.parametrize(
    "store",
    [
        {"volume": {"claimName": "ckpt"}},
        {"s3": {"bucket": "ckpt", "credentialsSecretName": "keys"}},
    ],
    ids=str,
)
def test_the_pod_that_purges_is_accepted_also_where_only_restricted_ones_are(
    kube: Kube, store: Json
) -> None:
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    meta = {"name": "restricted", "labels": level}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    job = a_job(namespace="restricted", template=RICH_TEMPLATE, checkpoint={"store": store})
    pod = render_purge(job, 1, SETTINGS)
    inside = Kube(kube.program, kube.kubeconfig, "restricted")
    account = {"name": "trainer", "namespace": "restricted"}
    inside.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 7}
    # Other tests want it to be missing.
    pod["spec"]["priorityClassName"] = "purging"
    kube.apply({**priority, "metadata": {"name": "purging"}})
    arguments = ("--dry-run=server", "--validate=strict", "-ojson", "-f", "-")
    stored = yaml.safe_load(inside.run("create", *arguments, stdin=yaml.safe_dump(pod)))
    for kind in ("volumes", "activeDeadlineSeconds", "securityContext", "serviceAccountName"):
        assert stored["spec"][kind] == pod["spec"][kind]


def expect_accepted(kube: Kube, pod: Json) -> Json:
    """The pod as a strict server would store it."""
    spec = pod["spec"]
    # Who these name need not exist for the pod to be well-formed; admission wants them to.
    spec.pop("priorityClassName", None)
    spec.pop("serviceAccountName", None)
    arguments = ("--dry-run=server", "--validate=strict", "-ojson", "-f", "-")
    stored: Json = yaml.safe_load(kube.run("create", *arguments, stdin=yaml.safe_dump(pod)))
    return stored


def terms(spec: Json) -> list[Json]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    found: list[Json] = spec["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"]
    return found
