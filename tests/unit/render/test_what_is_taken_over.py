"""Each field of a pod spec that Kubernetes knows, in a training pod and in a purge pod."""

import json
from typing import Any

import pytest
from gen_crds import manifests
from kit.jobs import a_job
from podtemplate.published import SOURCE
from spot_operator.api.crd import field_schema
from spot_operator.api.template_rules import TEMPLATE
from spot_operator.domain.actions import CreatePod, Grant
from spot_operator.domain.checkpoint_deletion import TRIES
from spot_operator.render.pod import render_pod
from spot_operator.render.purge import CHOOSY, render_purge
from spot_operator.render.settings import RenderSettings
from spot_operator.render.taken_over import POD, Taken

Json = dict[str, Any]

SETTINGS = RenderSettings(
    sidecar_image="sidecar:1",
    reports_url="https://r:8443",
    ca_bundle="ca",
    sidecar_cpu_limit="500m",
)
CONTAINER: Json = {"name": "trainer", "image": "digits:1"}
NODES: Json = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "team", "operator": "Exists"}]}]
    }
}
SAMPLES: Json = {
    "activeDeadlineSeconds": 60,
    "affinity": {"nodeAffinity": NODES, "podAntiAffinity": {"x": "y"}},
    "automountServiceAccountToken": True,
    "containers": [CONTAINER],
    "dnsConfig": {"nameservers": ["192.0.2.53"]},
    "dnsPolicy": "None",
    "enableServiceLinks": True,
    "evictionResponders": [{"name": "example.com/x"}],
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["minio"]}],
    "hostIPC": True,
    "hostNetwork": True,
    "hostPID": True,
    "hostUsers": False,
    "hostname": "digits",
    "hostnameOverride": "digits",
    "imagePullSecrets": [{"name": "registry"}],
    "initContainers": [{"name": "fetch", "image": "fetch:1"}],
    "nodeName": "node-1",
    "nodeSelector": {"team": "vision"},
    "os": {"name": "linux"},
    "overhead": {"cpu": "10m"},
    "preemptionPolicy": "Never",
    "priority": 7,
    "priorityClassName": "experiment",
    "readinessGates": [{"conditionType": "example.com/ready"}],
    "resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}],
    "resources": {"limits": {"cpu": "8"}},
    "restartPolicy": "Never",
    "runtimeClassName": "gvisor",
    "schedulerName": "other",
    "schedulingGates": [{"name": "example.com/gate"}],
    "schedulingGroup": {"podGroupName": "digits"},
    "securityContext": {"runAsUser": 1000, "fsGroup": 65532},
    "serviceAccount": "trainer",
    "serviceAccountName": "trainer",
    "setHostnameAsFQDN": True,
    "shareProcessNamespace": True,
    "subdomain": "digits",
    "terminationGracePeriodSeconds": 60,
    "tolerations": [{"key": "team", "operator": "Exists"}],
    "topologySpreadConstraints": [{"maxSkew": 1}],
    "volumes": [{"name": "data", "emptyDir": {}}],
}
FIELDS = sorted(set(POD) - {"ephemeralContainers"})


def template_with(field: str, **meta: Any) -> Json:
    spec = {"containers": [CONTAINER], field: SAMPLES[field]}
    return {"spec": spec, **({"metadata": meta} if meta else {})}


def a_training_pod(template: Json) -> Json:
    action = CreatePod(attempt=1, rank=0, grant=Grant(1, None))
    return render_pod(a_job(template=template), action, SETTINGS, drain_token="t")


def a_purge_pod(template: Json, number: int = 1) -> Json:
    return render_purge(a_job(template=template), number, SETTINGS)


def expect_taken(how: Taken, field: str, spec: Json) -> None:
    asked = SAMPLES[field]
    if how in {Taken.KEPT, Taken.AT_FIRST}:
        assert spec[field] == asked
    elif how is Taken.LEFT:
        assert field not in spec
    elif how is Taken.OURS:
        assert field in spec
        assert spec[field] != asked or field == "restartPolicy"
    elif how is Taken.JOINED:
        assert spec[field]


def test_every_field_that_kubernetes_knows_is_classified() -> None:
    """Whoever takes over a newer schema decides here what a pod of ours makes of a new field."""
    published = json.loads(SOURCE.read_text())["schemas"]["io.k8s.api.core.v1.PodSpec"]
    assert set(published["properties"]) == set(POD)
    assert all(row.why for row in POD.values())
    assert set(SAMPLES) == set(FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_training_pod_makes_of_it(field: str) -> None:
    how = POD[field].training
    if how is not Taken.REFUSED:
        expect_taken(how, field, a_training_pod(template_with(field))["spec"])


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_purge_pod_makes_of_it(field: str) -> None:
    expect_taken(POD[field].purge, field, a_purge_pod(template_with(field))["spec"])


@pytest.mark.parametrize("field", [one for one in POD if POD[one].training is Taken.REFUSED])
def test_what_is_refused_has_its_rule(field: str) -> None:
    job, _ = manifests().values()
    root = job["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    known = field_schema(root, "spec.template.spec")["properties"]
    assert field not in known or f"no {field}" in {rule.name for rule in TEMPLATE}


def test_a_purge_has_the_limits_of_the_sidecar() -> None:
    """A quota on limits.cpu refuses a container that has none."""
    (container,) = a_purge_pod(template_with("os"))["spec"]["containers"]
    assert container["resources"]["limits"]["cpu"] == "500m"
    assert container["resources"]["requests"]["cpu"] == "100m"


AT_FIRST = [one for one in POD if POD[one].purge is Taken.AT_FIRST]


@pytest.mark.parametrize("field", [*AT_FIRST, "affinity"])
@pytest.mark.parametrize("number", range(1, TRIES + 1))
def test_a_purge_goes_without_what_may_be_gone_once_it_was_tried(number: int, field: str) -> None:
    """The nodes of the team, the sandbox that only they have, the class that quotas asked for:
    where they are gone the checkpoints would stay for ever."""
    asked = {"nodeAffinity": NODES} if field == "affinity" else SAMPLES[field]
    spec = a_purge_pod(template_with(field), number)["spec"]
    assert spec.get(field) == (asked if number <= CHOOSY else None)


def test_the_last_tries_ask_for_nothing_that_a_cluster_may_have_lost() -> None:
    """A GPU node's runtime class, for one: a purge asks for no GPU, and may come to any node."""
    named = {"runtimeClassName", "schedulerName", "priorityClassName", "nodeSelector"}
    assert named <= set(AT_FIRST)
    # The server refuses an overhead without its class, and a priority that is not its class's.
    assert {"overhead", "priority", "preemptionPolicy"} <= set(AT_FIRST)
    assert CHOOSY < TRIES


@pytest.mark.parametrize(
    ("kind", "key", "value", "kept"),
    [
        # Meshes: with a proxy that never ends a purge would run into its deadline.
        ("labels", "sidecar.istio.io/inject", "false", True),
        ("annotations", "sidecar.istio.io/inject", "false", True),
        ("annotations", "linkerd.io/inject", "disabled", True),
        ("annotations", "consul.hashicorp.com/connect-inject", "false", True),
        # Identities, network policies, cost.
        ("labels", "azure.workload.identity/use", "true", True),
        ("annotations", "eks.amazonaws.com/skip-containers", "x", True),
        ("labels", "team", "vision", True),
        # Queues and gangs.
        ("labels", "kueue.x-k8s.io/queue-name", "vision", False),
        ("annotations", "kueue.x-k8s.io/pod-group-total-count", "1", False),
        ("labels", "scheduling.x-k8s.io/pod-group", "digits", False),
        ("labels", "pod-group.scheduling.sigs.k8s.io", "digits", False),
        ("annotations", "scheduling.k8s.io/group-name", "digits", False),
        ("annotations", "volcano.sh/queue-name", "vision", False),
        ("annotations", "yunikorn.apache.org/task-groups", "[]", False),
        ("annotations", "container.apparmor.security.beta.kubernetes.io/trainer", "x", False),
    ],
)
def test_labels_and_annotations_of_a_purge(kind: str, key: str, value: str, *, kept: bool) -> None:
    meta = a_purge_pod(template_with("os", **{kind: {key: value}}))["metadata"]
    assert (meta[kind].get(key) == value) is kept
    assert meta["labels"]["spottraining.dev/purge"] == "1"


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({}, False),
        ({"serviceAccountName": "trainer"}, None),
        ({"serviceAccount": "trainer"}, None),
        ({"serviceAccountName": ""}, False),
        ({"serviceAccountName": "default"}, None),
        ({"automountServiceAccountToken": True}, True),
        ({"serviceAccountName": "trainer", "automountServiceAccountToken": False}, False),
        ({"serviceAccountName": "trainer", "automountServiceAccountToken": True}, True),
    ],
    ids=str,
)
def test_who_gets_a_token_for_the_api(theirs: Json, expected: bool | None) -> None:
    """A pod that names its account gets what that account says, as any other pod."""
    template = {"spec": {"containers": [CONTAINER], **theirs}}
    training, purge = a_training_pod(template)["spec"], a_purge_pod(template)["spec"]
    assert training.get("automountServiceAccountToken") is expected
    assert purge["automountServiceAccountToken"] is False
    (trainer,) = training["containers"]
    assert "spot-token" not in {one["name"] for one in trainer["volumeMounts"]}


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({}, None),
        ({"dnsPolicy": "Default"}, "Default"),
        ({"hostNetwork": False, "dnsPolicy": "ClusterFirst"}, "ClusterFirst"),
        ({"hostNetwork": True}, "ClusterFirstWithHostNet"),
        # What the API server adds to a template that somebody copied from it.
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirst"}, "ClusterFirstWithHostNet"),
        ({"hostNetwork": True, "dnsPolicy": "None"}, "None"),
        ({"hostNetwork": True, "dnsPolicy": "Default"}, "Default"),
    ],
    ids=str,
)
def test_a_pod_in_the_nodes_network_finds_services(theirs: Json, expected: str | None) -> None:
    template = {"spec": {"containers": [CONTAINER], **theirs}}
    for pod in (a_training_pod(template), a_purge_pod(template)):
        assert pod["spec"].get("dnsPolicy") == expected
        assert pod["spec"].get("hostNetwork") == theirs.get("hostNetwork")


def test_the_scheduler_knows_the_port_that_a_pod_in_the_nodes_network_takes() -> None:
    """Two of them on one node could not both have it."""
    spec = a_training_pod(template_with("hostNetwork"))["spec"]
    assert spec["initContainers"][0]["ports"][0]["containerPort"] == 8390
