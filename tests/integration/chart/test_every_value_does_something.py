"""Each value of the chart changes what is rendered, is in the schema, and is refused if wrong."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from integration.chart.helm import CHART, helm, rendered, template, the, values_of_the_chart

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]

OTHERWISE: Object = {
    "image.digest": "sha256:" + "a" * 64,
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "pull"}],
    "watchNamespaces": ["team-a", "team-b"],
    "claims.namespace": "spot-claims",
    "claims.seconds": 90,
    "lease.seconds": 20,
    "lease.renewDeadlineSeconds": 12,
    "lease.retrySeconds": 3,
    "sidecar.image.digest": "sha256:" + "b" * 64,
    "sidecar.image.pullPolicy": "Never",
    "sidecar.imagePullSecrets": ["pull"],
    "sidecar.cpuRequest": "200m",
    "sidecar.cpuLimit": "2",
    "presets.priorityClasses.values.scheduled-retraining": 7,
    "presets.priorityClasses.values.long-running": 8,
    "presets.priorityClasses.values.experiment": 9,
    "presets.priorityClasses.preemptionPolicy": "PreemptLowerPriority",
    "log.level": "debug",
    "log.format": "text",
    "serviceAccount.name": "another",
    "serviceAccount.annotations": {"iam": "role"},
    "uninstall.seconds": 240,
    "podSecurityContext.seccompProfile.type": "Localhost",
    "securityContext.capabilities.drop": ["NET_RAW"],
    "topologySpreadConstraints": [],
    "metrics.serviceAnnotations": {"prometheus.io/scrape": "true"},
    "metrics.serviceMonitor.labels": {"release": "prometheus"},
    "metrics.serviceMonitor.interval": "1m",
    "metrics.serviceMonitor.scrapeTimeout": "5s",
    "networkPolicy.reportsFrom": [{"ipBlock": {"cidr": "10.0.0.0/16"}}],
    "networkPolicy.metricsFrom": [{"namespaceSelector": {}}],
    "networkPolicy.apiServer": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
    "networkPolicy.apiServerPorts": [8443],
    "pdb.maxUnavailable": "50%",
    "commonLabels": {"team": "platform"},
    "podAnnotations": {"note": "x"},
    "podLabels": {"note": "x"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
}
"""Another value for each that is not a number, a text or a truth of which any other will do."""
DURATIONS = {"window", "initial", "max", "maxLostWork", "after"}
ONLY_WITH: dict[str, Object] = {
    "presets.priorityClasses.values": {"presets.priorityClasses.create": True},
    "presets.priorityClasses.preemptionPolicy": {"presets.priorityClasses.create": True},
    "metrics.serviceMonitor.": {"metrics.serviceMonitor.enabled": True},
    "networkPolicy.": {
        "networkPolicy.enabled": True,
        "networkPolicy.apiServer": [{"ipBlock": {"cidr": "10.9.9.9/32"}}],
    },
    "serviceAccount.create": {"serviceAccount.name": "made-by-hand"},
    "uninstall.": {"uninstall.withoutCluster": True},
}
"""Values that do something only where another one is set."""


def leaves(values: Object, at: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is no group, by its path; an empty map is a value."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


LEAVES = dict(leaves(values_of_the_chart()))


def another(path: str, value: Any) -> Any:
    """A value that the schema takes and that is not `value`."""
    if path in OTHERWISE:
        return OTHERWISE[path]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return ["another"]
    return "7m" if path.rpartition(".")[2] in DURATIONS else f"{value}x".replace("Fullx", "None")


def companions(path: str) -> Object:
    found: Object = {}
    for prefix, values in ONLY_WITH.items():
        if path.startswith(prefix):
            found |= {name: value for name, value in values.items() if name != path}
    return found


def test_every_value_changes_what_is_rendered() -> None:
    def changes(path: str) -> bool:
        beside = companions(path)
        return template(beside) != template({**beside, path: another(path, LEAVES[path])})

    with ThreadPoolExecutor(2) as pool:
        idle = [
            path for path, does in zip(LEAVES, pool.map(changes, LEAVES), strict=True) if not does
        ]
    assert idle == []


def test_every_value_is_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def known(path: str) -> bool:
        at = schema
        for key in path.split("."):
            at = schema["definitions"]["policySpec"] if "$ref" in at else at
            inner = at.get("properties", {})
            if key not in inner:
                # Free-form from here on: a field of a Kubernetes type, or a name the user chooses.
                return at.get("additionalProperties") is not False
            at = inner[key]
        return True

    assert [path for path in LEAVES if not known(path)] == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replicas": 0}, "replicas"),
        ({"replica": 2}, "replica"),
        ({"log.level": "loud"}, "level"),
        ({"image.digest": "latest"}, "digest"),
        ({"sidecar.image.pullPolicy": "Sometimes"}, "pullPolicy"),
        ({"sidecar.imagePullSecrets": [{"name": "x"}]}, "imagePullSecrets"),
        ({"imagePullSecrets": [{}]}, "imagePullSecrets"),
        ({"watchNamespaces": ["Team"]}, "watchNamespaces"),
        ({"watchNamespaces": ["a", "a"]}, "watchNamespaces"),
        ({"watchNamespaces": "team"}, "watchNamespaces"),
        ({"lease.seconds": 10}, "retrySeconds < renewDeadlineSeconds < seconds"),
        ({"lease.retrySeconds": 10}, "retrySeconds < renewDeadlineSeconds < seconds"),
        ({"lease.seconds": 0}, "lease"),
        ({"claims.seconds": 29}, "at least twice lease.seconds"),
        ({"presets.default.spec.interruptions.max": 501}, "max"),
        ({"presets.default.spec.interuptions": {"max": 5}}, "interuptions"),
        ({"presets.experiment.spec.backoff.jitter": "Some"}, "jitter"),
        (
            {
                "presets.priorityClasses.create": True,
                "presets.experiment.spec.priorityClassNames": ["mine"],
            },
            "presets.priorityClasses.values.mine is needed",
        ),
        ({"presets.priorityClasses.values.mine": 2000000000}, "mine"),
        ({"serviceAccount.create": False}, "serviceAccount.name is needed"),
        ({"uninstall.seconds": 5}, "seconds"),
        ({"metrics.serviceMonitor.interval": "soon"}, "interval"),
        ({"networkPolicy.apiServerPorts": [70000]}, "apiServerPorts"),
        ({"pdb.maxUnavailable": "half"}, "maxUnavailable"),
        ({"sidecar.cpuLimit": "many"}, "cpuLimit"),
        ({"sidecar.cpuRequest": ""}, "cpuRequest"),
        ({"commonLabels": {"app.kubernetes.io/name": "mine"}}, "commonLabels"),
        ({"podLabels": {"app.kubernetes.io/component": "mine"}}, "podLabels"),
        ({"extraEnv": [{"name": "RETRIES", "value": 1}]}, "extraEnv/0/value"),
        ({"extraEnv": [{"value": "1"}]}, "name"),
        ({"tolerations": [{"key": "gpu", "value": True}]}, "tolerations/0/value"),
        ({"tolerations": [{"key": "gpu", "operator": "Exist"}]}, "tolerations/0/operator"),
        ({"tolerations": [{"key": "gpu", "effects": "NoSchedule"}]}, "effects"),
        ({"resources.limits.memory": True}, "memory"),
        ({"resources.limit.memory": "1Gi"}, "limit"),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: Object, told: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        template(values)
    assert told in refused.value.stderr


def branches(values: Object, at: str = "") -> Iterator[str]:
    """The path of each value and of each group; below a policy's spec the server has defaults."""
    for key, value in values.items():
        yield f"{at}{key}"
        if isinstance(value, dict) and key != "spec":
            yield from branches(value, f"{at}{key}.")


MAY_GO = ("resources", "podSecurityContext", "securityContext", "topologySpreadConstraints")
"""Kubernetes has defaults for these, or nothing is as good; so have the values below them."""


def may_go(path: str) -> bool:
    """Whether the chart works without the value: it is empty in values.yaml, or is in MAY_GO."""
    return LEAVES.get(path) in ("", [], {}) or any(
        f"{path}.".startswith(f"{one}.") for one in MAY_GO
    )


def test_null_removes_what_may_go_and_names_what_is_missing() -> None:
    """`helm --set image=null` takes the default away, `--reuse-values` those of a newer chart."""

    def outcome(path: str) -> str:
        try:
            text = template({**companions(path), path: None})
        except subprocess.CalledProcessError as refused:
            missing = rf"missing property '{path.rpartition('.')[2]}'|{path}\S* is needed"
            named = re.search(missing, refused.stderr)
            return "" if named and not may_go(path) else refused.stderr
        return (
            ""
            if may_go(path) and not re.search("<nil>|: null$", text, re.MULTILINE)
            else "rendered"
        )

    paths = list(branches(values_of_the_chart()))
    with ThreadPoolExecutor(2) as pool:
        told = dict(zip(paths, pool.map(outcome, paths), strict=True))
    assert {path: words for path, words in told.items() if words} == {}


NUMBERS: Object = {
    "watchNamespaces": ["2024", "1e3"],
    "claims.namespace": "10",
    "serviceAccount.name": "null",
    "priorityClassName": "true",
    "commonLabels": {"year": "2024"},
    "podLabels": {"year": "2025", "on": "true"},
    "podAnnotations": {"build": "1"},
    "nodeSelector": {"gpu": "false"},
    "image.tag": "1.0",
    "sidecar.cpuLimit": 2,
    "networkPolicy.enabled": True,
    "metrics.serviceMonitor.enabled": True,
    "presets.priorityClasses.create": True,
    "uninstall.withoutCluster": True,
}
"""What YAML takes for something else than a text."""


def test_names_may_look_like_numbers() -> None:
    for item in rendered(NUMBERS, release="1e3", namespace="0123"):
        wrong = [
            path for path, value in leaves(item) if is_text(path) and not isinstance(value, str)
        ]
        assert wrong == [], item["kind"]
        for labels in maps_of_texts(item):
            assert all(isinstance(one, str) for one in labels.values()), labels


def is_text(path: str) -> bool:
    return path.rpartition(".")[2] in {
        *("name", "namespace", "serviceAccountName", "priorityClassName", "image", "interval"),
    }


def maps_of_texts(value: Any) -> Iterator[Object]:
    """Every map of which Kubernetes takes texts alone, wherever it stands."""
    if isinstance(value, list):
        for each in value:
            yield from maps_of_texts(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key in {"labels", "annotations", "matchLabels", "nodeSelector"} and each:
                yield each
            yield from maps_of_texts(each)


def test_labels_of_pods_go_before_those_of_every_object() -> None:
    chosen: Object = {
        "commonLabels": {"team": "platform"},
        "podLabels": {"team": "ml"},
        "uninstall.withoutCluster": True,
    }
    text = template(chosen)
    (pod,) = (
        one["spec"]["template"]["metadata"]["labels"]
        for one in rendered(chosen)
        if one["kind"] == "Deployment"
    )
    assert pod["team"] == "ml"
    assert text.count("team: ml") == 2, "in the Deployment and in the hook"


MESHES = {
    "sidecar.istio.io/inject": "false",
    "kuma.io/sidecar-injection": "disabled",
    "linkerd.io/inject": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
}


@pytest.mark.parametrize("into", [None, "podLabels", "podAnnotations"])
def test_no_proxy_keeps_the_hook_from_its_end(into: str | None) -> None:
    """Also where the operator's own pods are told to be in the mesh."""
    inside = dict.fromkeys(MESHES, "true") | {"note": "x"}
    chosen: Object = {"uninstall.withoutCluster": True, **({into: inside} if into else {})}
    hook = the("Job", rendered(chosen))["spec"]["template"]["metadata"]
    labels, annotations = hook["labels"], hook["annotations"]
    for name in ("sidecar.istio.io/inject", "kuma.io/sidecar-injection"):
        assert labels[name] == MESHES[name]
    for name in set(MESHES) - {"kuma.io/sidecar-injection"}:
        assert annotations[name] == MESHES[name]
    if into is not None:
        assert (labels if into == "podLabels" else annotations)["note"] == "x"
        operator = the("Deployment", rendered(chosen))["spec"]["template"]["metadata"]
        kind = "labels" if into == "podLabels" else "annotations"
        assert operator[kind]["sidecar.istio.io/inject"] == "true"


def test_replicas_that_wait_hold_up_no_drain() -> None:
    budget = the("PodDisruptionBudget", rendered())["spec"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_openshift_may_choose_the_user() -> None:
    spec = the(
        "Deployment",
        rendered({"podSecurityContext.runAsUser": None, "podSecurityContext.runAsGroup": None}),
    )["spec"]["template"]["spec"]
    assert set(spec["securityContext"]) == {"runAsNonRoot", "seccompProfile"}
    bare = the("Deployment", rendered({"podSecurityContext": None, "securityContext": None}))
    assert "securityContext" not in bare["spec"]["template"]["spec"]


def test_presets_differ_in_budgets_and_backoff() -> None:
    presets = {o["metadata"]["name"]: o["spec"] for o in rendered() if o["kind"] == "SpotPolicy"}
    assert set(presets) == {"default", "scheduled-retraining", "experiment", "long-running"}
    assert len({str(spec["interruptions"]) for spec in presets.values()}) == 4
    assert len({str(spec["backoff"]) for spec in presets.values()}) == 4


def test_a_class_is_created_for_each_name_of_a_preset() -> None:
    assert not [o for o in rendered() if o["kind"] == "PriorityClass"]
    objects = rendered({"presets.priorityClasses.create": True})
    made = {o["metadata"]["name"] for o in objects if o["kind"] == "PriorityClass"}
    named = {
        name
        for o in objects
        if o["kind"] == "SpotPolicy"
        for name in o["spec"].get("priorityClassNames", ())
    }
    assert made == named


@pytest.mark.parametrize(
    ("watched", "wide", "homes"),
    [([], True, set()), (["team-a", "team-b"], False, {"team-a", "team-b"})],
)
def test_rights_over_jobs_are_where_jobs_are_watched(
    watched: list[str], wide: bool, homes: set[str]
) -> None:
    objects = rendered({"watchNamespaces": watched})
    own = the("ClusterRole", objects, "spot-training-operator.spot-training")
    resources = {resource for rule in own["rules"] for resource in rule["resources"]}
    assert ("pods" in resources) is wide
    assert ("spottrainingjobs" in resources) is wide
    assert {"nodes", "spotpolicies", "tokenreviews"} <= resources
    roles = [
        o
        for o in objects
        if o["kind"] == "Role" and any("pods" in rule["resources"] for rule in o["rules"])
    ]
    assert {role["metadata"]["namespace"] for role in roles} == homes


@pytest.mark.parametrize("watched", [[], ["team-a"]])
def test_the_operator_may_read_no_secret_but_its_own(watched: list[str]) -> None:
    rules = [
        rule
        for item in rendered({"watchNamespaces": watched})
        if item["kind"] in {"ClusterRole", "Role"}
        for rule in item["rules"]
        if {"secrets", "*"} & set(rule["resources"])
    ]
    assert [rule["resourceNames"] for rule in rules] == [["spot-training-reports-ca"]]


def test_two_releases_of_one_name_share_no_object() -> None:
    def outside(namespace: str) -> set[tuple[str, str, str]]:
        return {
            (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])
            for o in rendered(namespace=namespace)
            # Policies are everybody's: whose they are is looked up, see the releases' own tests.
            if o["metadata"].get("namespace") != namespace and o["kind"] != "SpotPolicy"
        }

    assert outside("one") & outside("two") == set()


def test_names_with_dots_make_names_of_services() -> None:
    objects = rendered(release="spot.v1")
    names = {o["metadata"]["name"] for o in objects if o["kind"] in {"Service", "Deployment"}}
    assert names == {"spot-training-reports", "spot-v1-metrics", "spot-v1"}


def test_the_network_policy_lets_reports_probes_and_scrapes_in() -> None:
    policy = the("NetworkPolicy", rendered({"networkPolicy.enabled": True}))["spec"]
    assert policy["policyTypes"] == ["Ingress"], "without the API server's address no egress is cut"
    ports = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    container = the("Deployment", rendered())["spec"]["template"]["spec"]["containers"][0]
    assert {port["containerPort"] for port in container["ports"]} <= ports
    reports = next(r for r in policy["ingress"] if {"port": 8443, "protocol": "TCP"} in r["ports"])
    assert reports["from"][0]["podSelector"]["matchExpressions"] == [
        {"key": "spottraining.dev/job-uid", "operator": "Exists"}
    ]


def test_the_network_policy_lets_the_hook_reach_the_api_server() -> None:
    """Where the namespace denies egress, what lets the operator through lets the hook through."""
    found = rendered({"networkPolicy.enabled": True, "uninstall.withoutCluster": True})
    selector = the("NetworkPolicy", found)["spec"]["podSelector"]
    (one,) = selector["matchExpressions"]
    assert (one["key"], one["operator"]) == ("app.kubernetes.io/component", "In")
    for kind in ("Deployment", "Job"):
        labels = the(kind, found)["spec"]["template"]["metadata"]["labels"]
        assert selector["matchLabels"].items() <= labels.items()
        assert labels[one["key"]] in one["values"]


def test_the_service_monitor_selects_the_metrics_service_alone() -> None:
    objects = rendered({"metrics.serviceMonitor.enabled": True})
    wanted = the("ServiceMonitor", objects)["spec"]["selector"]["matchLabels"].items()
    chosen = [
        o["metadata"]["name"]
        for o in objects
        if o["kind"] == "Service" and wanted <= o["metadata"]["labels"].items()
    ]
    assert chosen == ["spot-training-operator-metrics"]


def test_what_is_applied_without_helm_ends_no_operator() -> None:
    """`helm template | kubectl apply` takes a hook for an object like any other."""
    assert [o for o in rendered() if "helm.sh/hook" in str(o["metadata"].get("annotations"))] == []


def test_another_chart_may_depend_on_it(tmp_path: Path) -> None:
    """The condition of a dependency is a value of the chart that it is about."""
    dependency = {"name": "spot-training-operator", "version": "*"}
    chart = {
        "apiVersion": "v2",
        "name": "platform",
        "version": "1.0.0",
        "dependencies": [dependency | {"condition": "spot-training-operator.enabled"}],
    }
    (tmp_path / "Chart.yaml").write_text(json.dumps(chart))
    copytree(CHART, tmp_path / "charts/spot-training-operator")
    values = {"global": {"registry": "x"}, "spot-training-operator": {"enabled": True}}
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    command = ("template", "platform", str(tmp_path), "--kube-version", "1.37.0")
    assert "kind: Deployment" in helm(*command)
    assert "kind: Deployment" not in helm(*command, "--set", "spot-training-operator.enabled=false")
