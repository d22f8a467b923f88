"""The chart removed from a real cluster by its own hook, in each order, and installed again."""

from __future__ import annotations

import subprocess

import pytest
from e2e.removal.releases import uninstall
from kit.clustertrainers import QUICK, apply, steps
from stage.install import IMAGES, OPERATOR_NAMESPACE, Stage, built, install
from stage.waiting import until
from toolchain.layout import Cache

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

JOBS_CRD = "spottrainingjobs.spottraining.dev"
KEPT_BY_NOBODY = {"deletionPolicy": "Delete"}


def test_the_operator_first_then_the_crd_and_the_namespace(own: Stage, cache: Cache) -> None:
    own.kube.apply(QUICK)
    held = apply(own, "held", steps(epochs=50), checkpoint=KEPT_BY_NOBODY)
    held.until_commits(1, 1, within=120)
    lineage = held.lineage("e2e")
    uninstall(own, cache)
    assert not held.read()["metadata"].get("finalizers")
    assert held.pod(1) is not None, "training goes on"
    assert leftovers(own) == []
    delete(own, cache, "crd", JOBS_CRD)
    assert own.bucket.manifests(lineage), "the checkpoints stay"
    delete(own, cache, "namespace", OPERATOR_NAMESPACE)


def test_installed_again_and_the_crd_first(own: Stage, cache: Cache) -> None:
    install(own.cluster, cache, {name: built(cache, name) for name in IMAGES})
    held = apply(own, "held-again", steps(epochs=50), checkpoint=KEPT_BY_NOBODY)
    held.until_commits(1, 1, within=120)
    lineage = held.lineage("e2e")
    delete(own, cache, "crd", JOBS_CRD, within=240)
    until("its checkpoints are gone", lambda: not own.bucket.keys(lineage), within=30)
    uninstall(own, cache)
    assert leftovers(own) == []


def delete(own: Stage, cache: Cache, kind: str, name: str, *, within: int = 90) -> None:
    """`kubectl delete`, until it is gone."""
    subprocess.run(
        [
            *(str(cache.bin / "kubectl"), "--kubeconfig", str(own.cluster.kubeconfig)),
            *("delete", kind, name, f"--timeout={within}s"),
        ],
        check=True,
        timeout=within + 20,
        stdout=subprocess.DEVNULL,
    )


def leftovers(own: Stage) -> list[str]:
    """What the operator made for itself and is still there, once the collector had its time."""

    def found() -> list[str]:
        leases = [
            *own.operators.list("leases"),
            *type(own.kube)(own.kube.program, own.kube.kubeconfig, "kube-system").list(
                "leases", "spottraining.dev/watch-claim"
            ),
        ]
        return [one["metadata"]["name"] for one in (*leases, *own.operators.list("endpointslices"))]

    until("nothing is left", lambda: not found(), within=60)
    return found()
