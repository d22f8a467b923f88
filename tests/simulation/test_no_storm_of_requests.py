"""A request that is refused, whatever the answer, is sent again after a pause, never at once.

Every kind of request that the operator sends is answered by one error after another, two minutes
each, while a job runs and loses its pod again and again. And what goes unheard is not asked for
without end either.
"""

import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import Call, fail
from kit.fakeapi.faults import Match
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_no_storm_of_requests
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.control.errors import from_status
from spot_operator.control.resource import (
    ENDPOINTSLICES,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    TOKENREVIEWS,
    Resource,
)
from spot_operator.reconcile.kinds import JOBS, POLICIES

READS: Final = [
    *itertools.product(("list", "watch"), (JOBS, POLICIES, PODS, NODES)),
    *itertools.product(("get",), (JOBS, SECRETS, ENDPOINTSLICES, NAMESPACES)),
]
WRITES: Final = [
    *itertools.product(("create",), (PODS, ENDPOINTSLICES, EVENTS, TOKENREVIEWS)),
    *itertools.product(("replace",), (JOBS, ENDPOINTSLICES, SECRETS)),
    *itertools.product(("patch",), (PODS, JOBS)),
    ("delete", PODS),
]
CODES: Final = (403, 404, 409, 422, 429, 500)
EACH_SECONDS: Final = 120.0
BETWEEN_SECONDS: Final = 90.0
"""In which a leader is found again, with a claim to renew."""


LEASE: Final = "spot-training-operator"
CLAIM: Final = "spot-training.spot-system.spot-training-operator"
NAMED: Final = [
    *((verb, LEASES, name) for verb in ("get", "replace") for name in (LEASE, CLAIM)),
    *((verb, resource, "") for verb, resource in READS + WRITES),
    *((verb, LEASES, "") for verb in ("list", "watch", "get", "create", "replace")),
]


def of(verb: str, resource: Resource, name: str) -> Match:
    def match(call: Call) -> bool:
        named = call.name or (call.body or {}).get("metadata", {}).get("name")
        return (call.verb, call.resource) == (verb, resource) and name in {"", named}

    return match


@pytest.mark.parametrize(("verb", "resource", "name"), NAMED, ids=str)
def test_what_is_refused_is_tried_again_after_a_pause(
    verb: str, resource: Resource, name: str
) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, replicas=2)
        world.apply(a_job_manifest())
        await clock.sleep(20)
        for code in CODES:
            error = from_status(code, {"message": "admission webhook says no"})
            for replica in world.replicas.all:
                replica.process.client.faults.on(of(verb, resource, name), before=fail(error))
            for pod in world.pods():
                world.server.delete(PODS, pod["metadata"]["name"], namespace="research")
            await clock.sleep(EACH_SECONDS)
            for replica in world.replicas.all:
                replica.process.client.faults.clear()
            await clock.sleep(BETWEEN_SECONDS)
            expect_no_storm_of_requests(world)

    in_fake_time(scenario)


def _nothing(world: World) -> None:
    """But the pod, when the training is complete."""
    world.plan.lingers = True


def _labels(world: World) -> None:
    body = {"metadata": {"labels": {names.LABEL_JOB_UID: None}}}
    world.server.patch(PODS, "digits-1-0", body, namespace="research")


def _pod(world: World) -> None:
    world.server.delete(PODS, "digits-1-0", namespace="research", grace_seconds=0)


def _suspended_pod(world: World) -> None:
    world.edit(suspend=True)
    _pod(world)


def _completed_pod(world: World) -> None:
    world.plan.steps = world.step() + 1
    _pod(world)


def _job(world: World) -> None:
    world.delete()


def _job_and_pod(world: World) -> None:
    world.delete()
    _pod(world)


def _policy(world: World) -> None:
    world.server.delete(POLICIES, "default")


def _node(world: World) -> None:
    world.node_of(1).remove()


def _node_and_pod(world: World) -> None:
    _node(world)
    _pod(world)


GOING: Final = (_nothing, _labels,
    _pod, _suspended_pod, _completed_pod, _job, _job_and_pod, _policy, _node, _node_and_pod,
)  # fmt: skip
DELETE: Final = {"store": {"s3": {"bucket": "checkpoints"}}, "deletionPolicy": "Delete"}
SPECS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"checkpoint": DELETE},
    {"ttlSecondsAfterFinished": 30},
    {"podCleanup": "KeepFailed"},
)


@pytest.mark.parametrize("spec", SPECS, ids=["plain", "purged", "ttl", "kept"])
@pytest.mark.parametrize("goes", GOING, ids=lambda goes: goes.__name__.strip("_"))
def test_what_goes_unheard_is_asked_for_again_after_a_pause(
    goes: Callable[[World], None], spec: dict[str, Any]
) -> None:
    """The news of it never comes, and the caches show it on."""

    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.apply(a_job_manifest(**spec))
        await world.until(lambda: world.step() >= 12, "step 12")
        (replica,) = world.replicas.all
        replica.process.client.faults.lose(lambda _, event: event.type == "DELETED")
        goes(world)
        await clock.sleep(1200)
        expect_no_storm_of_requests(world)
        assert not replica.faults, replica.faults

    in_fake_time(scenario)


@pytest.mark.parametrize("spec", SPECS, ids=["plain", "purged", "ttl", "kept"])
def test_a_finished_job_that_goes_unheard_is_deleted_again_after_a_pause(
    spec: dict[str, Any],
) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.apply(a_job_manifest(**spec))
        await world.until_finished()
        (replica,) = world.replicas.all
        replica.process.client.faults.lose(lambda _, event: event.type == "DELETED")
        world.delete()
        await clock.sleep(600)
        expect_no_storm_of_requests(world)
        assert not replica.faults, replica.faults

    in_fake_time(scenario)
