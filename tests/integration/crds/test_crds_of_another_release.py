"""What the API server keeps of a status: all with its CRD, less with an older one, no less with a
newer one."""

import asyncio
from collections.abc import Callable
from copy import deepcopy

import pytest
from integration.crds.conftest import CRDS, Kubectl
from integration.crds.world import JOBS, Api
from kit.manifests.good import NAMESPACE, a_full_job
from spot_operator.control.client import Json
from spot_operator.control.resource import Resource
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.state.sample import filled
from spot_operator.domain.state.status import status_of
from spot_operator.domain.crd_support import not_kept
from spot_operator.reconcile.persist import persist, probe
from spot_operator.reconcile.views import job_view

DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
NAME = f"{JOBS.plural}.{JOBS.group}"


def the_status(definition: Json) -> Json:
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: Json = schema["properties"]["status"]["properties"]
    return found


def older(definition: Json) -> None:
    """Without two fields that decisions need, and a figure."""
    status = the_status(definition)
    del status["ranks"]["items"]["properties"]["trouble"]
    del status["stopping"]
    del status["totals"]


def newer(definition: Json) -> None:
    """With a field of its own, and its default."""
    the_status(definition)["comet"] = {"type": "string", "default": "bright"}


async def settled(api: Api, job: Json, wanted: set[str]) -> frozenset[str]:
    """The answer once the server has taken the new schema up; at most ten seconds later."""
    lost: frozenset[str] = frozenset()
    for _ in range(100):
        lost = await probe(api.client, job_view(job))
        if lost == wanted:
            break
        await asyncio.sleep(0.1)
    return lost


@pytest.mark.parametrize(
    ("change", "lost"),
    [(older, {"ranks[].trouble", "stopping", "totals"}), (newer, set())],
)
async def test_what_is_not_kept_is_found_before_anything_is_written(
    api: Api, kubectl: Kubectl, change: Callable[[Json], None], lost: set[str]
) -> None:
    job = await api.created(a_full_job())
    assert await settled(api, job, set()) == frozenset()
    right = await api.client.get(DEFINITIONS, NAME)
    other = deepcopy(right)
    change(other)
    try:
        await api.client.replace(DEFINITIONS, other)
        assert await settled(api, job, lost) == lost
        fresh = await api.client.get(JOBS, job["metadata"]["name"], namespace=NAMESPACE)
        assert "attempt" not in (fresh.get("status") or {}), "nothing was stored"
        ledger = filled(Ledger)
        stored = await persist(api.client, job_view(fresh), ledger)
        assert not_kept(status_of(ledger), stored["status"]) == lost
    finally:
        kubectl("apply", "-f", str(CRDS))
    again = await api.client.get(JOBS, job["metadata"]["name"], namespace=NAMESPACE)
    assert await settled(api, again, set()) == frozenset()


