"""A webhook takes labels of ours, or the owner, off each pod before it is stored.

The watch never shows such a pod, or not as ours, and it trains: no other is begun beside it.
"""

from __future__ import annotations

from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import calls, fail
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_every_second_accounted, expect_one_attempt_at_a_time
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.control.errors import Forbidden
from spot_operator.control.resource import PODS

Json = dict[str, Any]

OURS = (names.LABEL_JOB_UID, names.LABEL_JOB, names.LABEL_ATTEMPT, names.LABEL_RANK)
TAKEN = {
    "the label by which we watch": OURS[:1],
    "the label of the job": OURS[1:2],
    "the label of the attempt": OURS[2:3],
    "the label of the rank": OURS[3:],
    "all labels": OURS,
}
taken_off = pytest.mark.parametrize("labels", TAKEN.values(), ids=TAKEN)


def take_off(world: World, labels: tuple[str, ...], *, updates: bool = False) -> None:
    def admit(old: Json | None, new: Json) -> tuple[str, ...]:
        if old is None or updates:
            for one in labels:
                new["metadata"]["labels"].pop(one, None)
        return ()

    world.server.admission.setdefault(PODS, []).append(admit)


def expect_the_first_pod_alone(world: World) -> None:
    assert [pod["metadata"]["name"] for pod in world.pods()] == ["digits-1-0"]
    assert world.status()["attempt"] == 1
    expect_one_attempt_at_a_time(world)


@taken_off
def test_the_attempt_trains_and_gets_them_back(labels: tuple[str, ...]) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        take_off(world, labels)
        world.apply(a_job_manifest())
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"
        assert world.status()["attempt"] == 1
        expect_one_attempt_at_a_time(world)
        expect_every_second_accounted(world)

    in_fake_time(scenario)


@pytest.mark.parametrize("labels", [OURS[:1], OURS[1:2], OURS[2:3], OURS])
def test_one_that_takes_them_off_each_time_is_told(labels: tuple[str, ...]) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        take_off(world, labels, updates=True)
        world.plan.steps = 10_000
        world.apply(a_job_manifest())
        await clock.sleep(600)
        expect_the_first_pod_alone(world)
        assert "our labels" in str(world.job()["status"]["conditions"])

    in_fake_time(scenario)


def test_one_without_an_owner_gets_it_back() -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.webhook(lambda pod: pod["metadata"].pop("ownerReferences"))
        world.apply(a_job_manifest())
        await world.until_finished()
        assert world.status()["attempt"] == 1
        assert world.pods() == [], "it is ours to delete"

    in_fake_time(scenario)


def test_where_pods_may_not_be_changed_nothing_is_begun_beside_it() -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        (replica,) = world.replicas.all
        replica.process.client.faults.on(calls("patch", PODS), before=fail(Forbidden("not now")))
        take_off(world, OURS)
        world.plan.steps = 10_000
        world.apply(a_job_manifest())
        await clock.sleep(600)
        expect_the_first_pod_alone(world)
        replica.process.client.faults.clear()
        await world.until(lambda: world.step() > 0, "a step is told")

    in_fake_time(scenario)
