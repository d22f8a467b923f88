"""A namespace with quotas, limits and policies refuses our pods: the message says who can help.

The texts are the server's own, so that a newer server that words them differently is noticed.
"""

import json
from typing import Any

import pytest
import yaml
from integration.operator.conftest import MakeOperator, namespace
from integration.operator.process import wait_until
from integration.operator.test_the_process_on_a_real_api_server import wait_for_leader
from kit.jobs import a_job, a_job_manifest, a_script_job, a_template
from spot_operator.domain.actions import CreatePod, Grant
from spot_operator.domain.attempt.pod_refusals import Owner, help_with
from spot_operator.render.pod import render_pod
from spot_operator.render.purge import render_purge
from spot_operator.render.settings import RenderSettings
from stage.kube import Kube, KubectlError

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]

SETTINGS = RenderSettings(sidecar_image="s:1", reports_url="https://r", ca_bundle="ca")
FIRST = CreatePod(attempt=1, rank=0, grant=Grant(1, None))
RESOURCES = {
    "requests": {"cpu": "100m", "memory": "64Mi"},
    "limits": {"cpu": "500m", "memory": "64Mi"},
}
MODEST: Json = {"name": "trainer", "image": "digits:1", "resources": RESOURCES}


def quota(name: str, **hard: str) -> Json:
    limits = {key.replace("_", "."): value for key, value in hard.items()}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team", "namespace": name},
        "spec": {"hard": limits},
    }


def limit_range(name: str, **limits: Json) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "limits", "namespace": name},
        "spec": {"limits": [{"type": "Container", **limits}]},
    }


def inside(kube: Kube, name: str, *objects: Json, level: str = "privileged") -> Kube:
    """kubectl in a namespace of its own with these objects, the quota counted."""
    labels = {"pod-security.kubernetes.io/enforce": level}
    account = {"name": "default", "namespace": name}
    made = namespace(name)
    made["metadata"]["labels"] = labels
    kube.apply(made)
    there = Kube(kube.program, kube.kubeconfig, name)
    there.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, *objects)
    for one in objects:
        if one["kind"] == "ResourceQuota":
            # No controllers run here: they would count.
            hard = one["spec"]["hard"]
            status = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
            patch = f"--patch={json.dumps(status)}"
            there.run("patch", "quota", "team", "--subresource=status", "--type=merge", patch)
    return there


def refused(kube: Kube, pod: Json) -> str:
    """What the server says to the pod; fails when it takes it."""
    arguments = ("--dry-run=server", "--validate=strict", "-ojson", "-f", "-")
    with pytest.raises(KubectlError) as error:
        kube.run("create", *arguments, stdin=yaml.safe_dump(pod))
    return str(error.value)


def a_pod(name: str, settings: RenderSettings = SETTINGS, **spec: Any) -> Json:
    return render_pod(a_job(namespace=name, **spec), FIRST, settings, drain_token="t")


MODEST_JOB: Json = {"template": a_template(containers=[MODEST])}
ROWS: dict[str, tuple[Json, Json, str, list[Owner], str]] = {
    "no-cpu-limit": (
        quota("no-cpu-limit", limits_cpu="4"),
        MODEST_JOB,
        "privileged",
        [Owner.RELEASE],
        "sidecar.cpuLimit",
    ),
    "no-limit-anywhere": (
        quota("no-limit-anywhere", limits_cpu="4", limits_memory="8Gi"),
        {},
        "privileged",
        [Owner.RELEASE, Owner.TEMPLATE, Owner.NAMESPACE],
        "limits.cpu of trainer; limits.memory of trainer",
    ),
    "used-up": (
        quota("used-up", requests_memory="1Gi"),
        MODEST_JOB,
        "privileged",
        [Owner.NAMESPACE],
        "192 MiB",
    ),
    "low-default": (
        limit_range("low-default", default={"cpu": "50m"}, defaultRequest={"cpu": "20m"}),
        {},
        "privileged",
        [Owner.RELEASE],
        "sidecar.cpuRequest",
    ),
    "minimum": (
        limit_range("minimum", min={"cpu": "200m"}),
        {},
        "privileged",
        [Owner.NAMESPACE, Owner.TEMPLATE],
        "sidecar.cpuRequest",
    ),
    "maximum": (
        limit_range("maximum", max={"memory": "512Mi"}),
        MODEST_JOB,
        "privileged",
        [Owner.NAMESPACE, Owner.TEMPLATE],
        "checkpoint.staging.sizeLimit",
    ),
    "ratio": (
        limit_range("ratio", maxLimitRequestRatio={"cpu": "2"}),
        MODEST_JOB,
        "privileged",
        [Owner.NAMESPACE, Owner.TEMPLATE],
        "no limit is specified",
    ),
    "restricted": (
        {},
        {},
        "restricted",
        [Owner.TEMPLATE],
        "template's pod and containers",
    ),
    "script": (
        {},
        a_script_job(),
        "restricted",
        [Owner.TEMPLATE, Owner.TEMPLATE],
        "runAsUser (not 0)",
    ),
    "account": (
        {},
        {"template": a_template(serviceAccountName="trainer")},
        "privileged",
        [Owner.NAMESPACE],
        "create ServiceAccount trainer",
    ),
    "class": (
        {},
        {"template": a_template(priorityClassName="experiment")},
        "privileged",
        [Owner.CLUSTER],
        "create PriorityClass experiment",
    ),
    "sandbox": (
        {},
        {"template": a_template(runtimeClassName="gvisor")},
        "privileged",
        [Owner.CLUSTER],
        "create RuntimeClass gvisor",
    ),
    "pod-level": (
        {},
        {"template": a_template(resources={"requests": {"cpu": "50m"}})},
        "privileged",
        [Owner.TEMPLATE],
        "add the sidecar's part",
    ),
    "invalid": (
        {},
        {"template": a_template(volumes=[{"name": "a"}, {"name": "a"}])},
        "privileged",
        [Owner.TEMPLATE],
        "correct what it names",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_the_server_refuses_has_its_remedy(kube: Kube, name: str) -> None:
    made, spec, level, owners, says = ROWS[name]
    there = inside(kube, name, *([made] if made else []), level=level)
    message = refused(there, a_pod(name, **spec))
    found = help_with(message)
    assert [one.owner for one in found] == owners, message
    assert says in "; ".join([message, *(one.remedy for one in found)])


def test_a_purge_needs_the_same_value(kube: Kube) -> None:
    there = inside(kube, "purged", quota("purged", limits_cpu="4"))
    job = a_job(namespace="purged", **MODEST_JOB)
    (found,) = help_with(refused(there, render_purge(job, 1, SETTINGS)))
    assert found.owner is Owner.RELEASE
    limited = RenderSettings("s:1", "https://r", "ca", sidecar_cpu_limit="500m")
    arguments = ("--dry-run=server", "-f", "-")
    for pod in (render_purge(job, 1, limited), a_pod("purged", limited, **MODEST_JOB)):
        assert "created" in there.run("create", *arguments, stdin=yaml.safe_dump(pod))


def test_a_job_says_which_value_of_the_chart_helps(kube: Kube, an_operator: MakeOperator) -> None:
    wait_for_leader(an_operator("limited"))
    there = inside(kube, "limited", quota("limited", limits_cpu="4"))
    there.apply(a_job_manifest("q", "limited", **MODEST_JOB))

    def succeeded() -> Json:
        status = (there.get("stj", "q") or {}).get("status") or {}
        found = [one for one in status.get("conditions", ()) if one["type"] == "Succeeded"]
        return found[0] if found else {}

    wait_until(lambda: succeeded().get("reason") == "PodsRefused", "refusal")
    message = succeeded()["message"]
    assert "must specify limits.cpu for: spot-sidecar" in message
    assert "sidecar.cpuLimit" in message
    assert "spec.template" not in message
    there.delete("stj", "q")
