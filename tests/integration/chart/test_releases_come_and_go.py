"""Releases on a real API server with its controllers: side by side, with their own rights, removed.

No kubelet runs here, so the operator and the hook of `helm uninstall` are processes of this
machine. They have the rights of the release's service account, no more.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Cluster
from integration.chart.helm import CHART, PROGRAMS, as_flags, helm
from integration.operator.process import OperatorProcess, wait_until
from kit.jobs import a_job_manifest
from stage.install import PROJECT
from stage.kube import Kube, KubectlError

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(300)]

Object = dict[str, Any]
STORE = {"s3": {"bucket": "checkpoints"}}
HELD = {"checkpoint": {"store": STORE, "deletionPolicy": "Delete"}, "suspend": True}
NAMES = "spot"
CRDS = ("spottrainingjobs.spottraining.dev", "spotpolicies.spottraining.dev")
CLAIMS = "spottraining.dev/watch-claim"
BOUND = 40.0


class Releases:
    """One API server, and what an administrator does to it."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.started: list[OperatorProcess] = []

    def kube(self, namespace: str = "default") -> Kube:
        return Kube(PROGRAMS / "kubectl", self.kubeconfig, namespace)

    def everywhere(self, *arguments: str, within: float = 60) -> str:
        """kubectl without a namespace of its own."""
        command = [str(PROGRAMS / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=within, check=False)
        if done.returncode:
            raise KubectlError(done.stderr)
        return done.stdout

    def serves_our_kinds(self) -> bool:
        """Whether jobs and policies can be listed."""
        try:
            self.everywhere("get", "spottrainingjobs,spotpolicies", "-A")
        except KubectlError:
            return False
        return True

    def add_namespace(self, name: str) -> Kube:
        self.kube().apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return self.kube(name)

    def install(self, namespace: str, values: Object | None = None) -> None:
        """`helm install`; nothing is waited for, since no pod ever runs."""
        helm(
            *("install", NAMES, str(CHART), "--kubeconfig", str(self.kubeconfig)),
            *("--namespace", namespace, "--create-namespace", *as_flags(values or {})),
        )

    def uninstall(self, namespace: str) -> None:
        """`helm uninstall`, its hook left to `release_jobs`."""
        helm(
            *("uninstall", NAMES, "--kubeconfig", str(self.kubeconfig)),
            *("--namespace", namespace, "--no-hooks", "--wait"),
        )

    def as_account(self, namespace: str) -> str:
        """A kubeconfig with the rights of the release's service account."""
        token = self.kube(namespace).run("create", "token", NAMES).strip()
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"] = [{"name": "account", "user": {"token": token}}]
        for context in config["contexts"]:
            context["context"]["user"] = "account"
        path = self.folder / f"{namespace}.yaml"
        path.write_text(yaml.safe_dump(config))
        return str(path)

    def settings(self, namespace: str) -> dict[str, str]:
        """What the release's Deployment tells the operator, as flags."""
        deployment = self.kube(namespace).get("deployment", NAMES)
        assert deployment is not None
        env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        told = {one["name"]: one["value"] for one in env if "value" in one}
        skipped = {"LEASE_SECONDS", "RENEW_DEADLINE_SECONDS", "RETRY_SECONDS", "SIDECAR_IMAGE"}
        plain = {name.removeprefix("SPOT_OPERATOR_"): value for name, value in told.items()}
        return {
            name.lower().replace("_", "-"): value
            for name, value in plain.items()
            if name not in skipped
        }

    def start(self, namespace: str) -> OperatorProcess:
        """A replica of the release, as its Deployment describes it."""
        operator = OperatorProcess(
            self.as_account(namespace),
            f"{namespace}-0",
            self.folder / f"{namespace}.log",
            flags={**self.settings(namespace), "namespace": namespace},
        )
        operator.start()
        self.started.append(operator)
        return operator

    def release_jobs(self, namespace: str) -> str:
        """The hook of `helm uninstall`, as its Job describes it."""
        hooks = helm("get", "hooks", NAMES, f"--kubeconfig={self.kubeconfig}", f"-n{namespace}")
        job = next(one for one in yaml.safe_load_all(hooks) if one and one["kind"] == "Job")
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        log = self.folder / f"{namespace}-hook.log"
        with log.open("wb") as said:
            hook = subprocess.Popen(
                [
                    *(sys.executable, "-m", "spot_operator", *arguments),
                    f"--kubeconfig={self.as_account(namespace)}",
                ],
                stdout=said,
                stderr=said,
            )
        try:
            wait_until(lambda: self._is_over(hook, namespace), "end of the hook", limit=120)
        finally:
            hook.kill()
            hook.wait()
            print(f"--- hook of {namespace}\n{log.read_text()[-3000:]}")
        assert hook.returncode == 0
        return log.read_text()

    def _is_over(self, hook: subprocess.Popen[bytes], namespace: str) -> bool:
        """Whether it has ended; as the kubelet would, replicas are ended when none is wanted."""
        deployment = self.kube(namespace).get("deployment", NAMES)
        assert deployment is not None
        if not deployment["spec"]["replicas"]:
            for operator in [one for one in self.started if one.name.startswith(namespace)]:
                operator.end()
                self.started.remove(operator)
        return hook.poll() is not None

    def leases(self) -> set[str]:
        found = self.everywhere("get", "leases", "-A", "-o=name")
        return {name for name in found.split() if "spot" in name}

    def finalizers(self, namespace: str, name: str) -> list[str]:
        job = self.kube(namespace).get("stj", name)
        return (job or {"metadata": {}})["metadata"].get("finalizers") or []

    def clean(self) -> None:
        """As before the first install."""
        for operator in self.started:
            operator.stop()
            print(f"--- {operator.name}\n{operator.log.read_text()[-3000:]}")
        self.started.clear()
        for namespace in [one for one in ("ops-a", "ops-b") if self.kube().get("ns", one)]:
            with suppress(subprocess.CalledProcessError):
                self.uninstall(namespace)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An API server with garbage collection, namespaces that end, and service accounts."""
    with Cluster.api_only("releases", replace=True) as up:
        yield up.kubeconfig


@pytest.fixture
def releases(server: Path, tmp_path: Path) -> Iterator[Releases]:
    found = Releases(server, tmp_path)
    found.kube().run("apply", "--server-side", "--force-conflicts", f"-f{PROJECT / 'crds'}")
    wait_until(found.serves_our_kinds, "our kinds", limit=BOUND)
    yield found
    found.clean()


def test_two_releases_with_namespaces_of_their_own(releases: Releases) -> None:
    """Rights, policies and jobs of one are not the other's; the claims stand side by side."""
    for team in ("team-a", "team-b"):
        releases.add_namespace(team)
    releases.install("ops-a", {"watchNamespaces": ["team-a"]})
    releases.install("ops-b", {"watchNamespaces": ["team-b"], "presets.experiment.enabled": False})
    policy = releases.kube().get("spotpolicy", "default")
    assert policy is not None
    assert policy["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == "ops-a"

    first, second = releases.start("ops-a"), releases.start("ops-b")
    for operator in (first, second):
        wait_until(operator.leads, "leader", limit=BOUND)
    for team in ("team-a", "team-b"):
        releases.kube(team).apply(a_job_manifest("one", namespace=team))
        wait_until(partial(has_pod, releases.kube(team)), "pod", limit=BOUND)
    assert first.metric("reconcile_errors_total") == second.metric("reconcile_errors_total") == 0
    assert first.metric("namespaces_unreadable") == 0
    claims = releases.kube("kube-system").list("leases", CLAIMS)
    watched = {
        claim["spec"]["holderIdentity"]: claim["metadata"]["annotations"][
            "spottraining.dev/watches"
        ]
        for claim in claims
    }
    assert watched == {"ops-a/spot": "team-a", "ops-b/spot": "team-b"}
    for namespace in ("ops-a", "ops-b"):
        releases.release_jobs(namespace)
        releases.uninstall(namespace)
    expect_nothing_left(releases)


def test_a_second_release_of_everything_waits_until_the_first_is_uninstalled(
    releases: Releases,
) -> None:
    releases.install("ops-a")
    releases.install("ops-b")
    first = releases.start("ops-a")
    wait_until(first.leads, "leader", limit=BOUND)
    second = releases.start("ops-b")
    wait_until(
        lambda: "ops-a/spot already watches every namespace" in second.get("/readyz")[1],
        "refusal",
        limit=BOUND,
    )
    assert second.get("/readyz")[0] == 503
    assert second.get("/livez")[0] == 200
    assert second.metric("watch_refused") == 1
    releases.release_jobs("ops-a")
    releases.uninstall("ops-a")
    # At once where it saw the claim withdrawn, else when it was not seen for a minute.
    wait_until(second.leads, "take-over", limit=60 + BOUND)
    assert second.metric("watch_refused") == 0
    releases.release_jobs("ops-b")
    releases.uninstall("ops-b")
    expect_nothing_left(releases)


@pytest.mark.parametrize("watched", [[], ["team-a"]], ids=["everywhere", "one namespace"])
def test_uninstalling_first(releases: Releases, watched: list[str]) -> None:
    """The CRD, the namespace of the jobs and that of the operator go without it."""
    team = releases.add_namespace("team-a")
    releases.install("ops-a", {"watchNamespaces": watched})
    releases.start("ops-a")
    team.apply(a_job_manifest("held", namespace="team-a", **HELD))
    wait_until(lambda: releases.finalizers("team-a", "held") != [], "finalizer", limit=BOUND)
    said = releases.release_jobs("ops-a")
    assert "team-a/held" in said
    assert releases.finalizers("team-a", "held") == []
    releases.uninstall("ops-a")
    assert team.get("stj", "held") is not None, "jobs stay"
    releases.everywhere("delete", "crd", "spottrainingjobs.spottraining.dev", "--timeout=30s")
    for namespace in ("team-a", "ops-a"):
        releases.everywhere("delete", "namespace", namespace, "--timeout=60s", within=70)
    expect_nothing_left(releases)


def test_the_crds_first(releases: Releases) -> None:
    """`helm uninstall` works though no policy of its presets exists any more."""
    team = releases.add_namespace("team-c")
    releases.install("ops-a", {"uninstall.seconds": 60})
    releases.start("ops-a")
    team.apply(a_job_manifest("held", namespace="team-c", **HELD))
    wait_until(lambda: releases.finalizers("team-c", "held") != [], "finalizer", limit=BOUND)
    # Its checkpoints are to be deleted with it, and no node is there for the pod that does: the
    # command may be ended, the deletion goes on.
    releases.everywhere("delete", "crd", "--wait=false", *CRDS)
    releases.release_jobs("ops-a")
    wait_until(
        lambda: "spottraining" not in releases.everywhere("get", "crd", "-o=name"),
        "end of the CRDs",
        limit=BOUND,
    )
    releases.uninstall("ops-a")
    expect_nothing_left(releases)


def test_the_operators_namespace_first(releases: Releases) -> None:
    """What the page says under Remove frees what waits then."""
    team = releases.add_namespace("team-d")
    releases.install("ops-a")
    operator = releases.start("ops-a")
    team.apply(a_job_manifest("held", namespace="team-d", **HELD))
    wait_until(lambda: releases.finalizers("team-d", "held") != [], "finalizer", limit=BOUND)
    releases.everywhere("delete", "namespace", "ops-a", "--timeout=60s", within=70)
    operator.stop()
    releases.everywhere("delete", "namespace", "team-d", "--wait=false")
    for command in commands_of_the_page("without-an-operator"):
        run_as_written(releases, command.replace("RELEASE", NAMES))
    releases.everywhere("delete", "crd", "spottrainingjobs.spottraining.dev", "--timeout=30s")
    wait_until(
        lambda: "team-d" not in releases.everywhere("get", "ns", "-o=name"), "end", limit=BOUND
    )
    expect_nothing_left(releases)


def test_what_others_made_is_left_as_it_is(releases: Releases) -> None:
    theirs: list[Object] = [
        {
            "apiVersion": "spottraining.dev/v1alpha1",
            "kind": "SpotPolicy",
            "metadata": {"name": "default"},
            "spec": {"default": True, "interruptions": {"max": 7}},
        },
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "experiment"},
            "value": 5,
        },
    ]
    releases.everywhere("delete", "spotpolicies", "--all")
    releases.kube().apply(*theirs)
    releases.install("ops-a", {"presets.priorityClasses.create": True})
    upgrade = ("upgrade", NAMES, str(CHART), f"--kubeconfig={releases.kubeconfig}", "-nops-a")
    helm(*upgrade, "--reset-then-reuse-values")
    policy = releases.kube().get("spotpolicy", "default")
    assert policy is not None
    assert policy["spec"]["interruptions"] == {"max": 7}
    classes = {one["metadata"]["name"]: one for one in releases.kube().list("priorityclasses")}
    assert classes["experiment"]["value"] == 5
    assert classes["long-running"]["value"] == 50000
    releases.uninstall("ops-a")
    assert releases.kube().get("spotpolicy", "default") is not None
    assert releases.kube().get("priorityclass", "experiment") is not None
    releases.everywhere("delete", "priorityclass", "experiment")
    expect_nothing_left(releases)


def test_budgets_of_a_preset_are_values(releases: Releases) -> None:
    releases.everywhere("delete", "spotpolicies", "--all")
    releases.install("ops-a", {"presets.experiment.spec.interruptions.max": 321})
    policy = releases.kube().get("spotpolicy", "experiment")
    assert policy is not None
    assert policy["spec"]["interruptions"]["max"] == 321
    assert policy["spec"]["failures"]["max"] == 1
    releases.uninstall("ops-a")


def has_pod(kube: Kube) -> bool:
    """Whether the first attempt of the job `one` has its pod."""
    return kube.get("pod", "one-1-0") is not None


def expect_nothing_left(releases: Releases) -> None:
    """Fail unless all that a release made, or its operator, is gone; what is documented stays."""

    def left() -> list[str]:
        kinds = "clusterroles,clusterrolebindings,roles,rolebindings,priorityclasses"
        wide = releases.everywhere(
            "get", kinds, "-A", "-o=name", "-lapp.kubernetes.io/part-of=spot-training-operator"
        )
        slices = releases.everywhere("get", "endpointslices", "-A", "-o=name")
        return [
            *wide.split(),
            *(name for name in slices.split() if "spot-training" in name),
            *releases.leases(),
        ]

    try:
        wait_until(lambda: left() == [], "end of what the release made", limit=BOUND)
    except AssertionError:
        assert left() == []


def commands_of_the_page(section: str) -> list[str]:
    """The shell blocks of docs/operations.md behind the mark of that name."""
    page = (PROJECT / "docs/operations.md").read_text()
    (found,) = re.findall(rf"<!-- {section} -->\n```sh\n(.*?)```", page, re.DOTALL)
    return [found]


def run_as_written(releases: Releases, script: str) -> None:
    """In a shell that has kubectl."""
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={
            "PATH": f"{PROGRAMS}:/usr/bin:/bin",
            "KUBECONFIG": str(releases.kubeconfig),
            "HOME": str(releases.kubeconfig.parent),  # kubectl keeps a cache there
        },
        check=True,
        timeout=60,
    )
