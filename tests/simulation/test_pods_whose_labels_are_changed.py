"""Somebody takes our labels off a pod that runs: it is out of sight, and not gone.

Nothing is started beside it, and it gets its labels back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import calls, fail
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import (
    expect_every_second_accounted,
    expect_invariants,
    expect_one_attempt_at_a_time,
)
from kit.simcluster.stories import PROXY, inject, settle_down
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.control.errors import Forbidden
from spot_operator.control.resource import PODS

LABELS: dict[str, dict[str, str | None]] = {
    "by which we watch": {names.LABEL_JOB_UID: None},
    "of the job": {names.LABEL_JOB: None},
    "of a job that is not there": {names.LABEL_JOB: "other"},
    "of the attempt": {names.LABEL_ATTEMPT: None},
    "of another attempt": {names.LABEL_ATTEMPT: "7"},
    "of the rank": {names.LABEL_RANK: "x"},
    "all": dict.fromkeys(
        (names.LABEL_JOB_UID, names.LABEL_JOB, names.LABEL_ATTEMPT, names.LABEL_RANK)
    ),
}
changes = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)


def in_a_world(play: Callable[[World], Awaitable[None]], **make: Any) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, **make)
        world.plan.steps = 200
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        await play(world)
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"
        expect_one_attempt_at_a_time(world)
        expect_every_second_accounted(world)

    in_fake_time(scenario)


def relabel(world: World, labels: dict[str, str | None], name: str = "digits-1-0") -> None:
    world.server.patch(PODS, name, {"metadata": {"labels": labels}}, namespace="research")


def labels_of(world: World, name: str = "digits-1-0") -> dict[str, str]:
    found: dict[str, str] = world.server.get(PODS, name, namespace="research")["metadata"]["labels"]
    return {one: found.get(one, "") for one in names_of_ours()}


def names_of_ours() -> tuple[str, ...]:
    return (names.LABEL_JOB, names.LABEL_JOB_UID, names.LABEL_ATTEMPT, names.LABEL_RANK)


@changes
def test_it_trains_on_and_gets_them_back(labels: dict[str, str | None]) -> None:
    async def play(world: World) -> None:
        before = labels_of(world)
        for _ in range(2):
            relabel(world, labels)
            await world.clock.sleep(20)
            assert labels_of(world) == before
        await world.clock.sleep(120)
        assert world.attempt() == 1

    in_a_world(play)


@changes
def test_a_new_leader_sees_it_as_well(labels: dict[str, str | None]) -> None:
    """It never saw the pod with its labels."""

    async def play(world: World) -> None:
        leader = world.replicas.leader()
        assert leader is not None
        assert leader.life is not None
        await leader.process.kill()
        relabel(world, labels)
        await world.clock.sleep(180)
        assert world.attempt() == 1

    in_a_world(play, replicas=2)


@changes
def test_its_pod_is_ended_though_the_trainer_has_ended_already(
    labels: dict[str, str | None],
) -> None:
    """What runs beside the trainer would hold the node for ever."""

    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.webhook(lambda pod: inject(pod, PROXY | {"image": "beside/stubborn"}))
        world.apply(a_job_manifest())
        await world.until(lambda: _trainer_has_ended(world), "end of the trainer")
        relabel(world, labels)
        await world.until_finished()
        await settle_down(world)
        expect_invariants(world)

    in_fake_time(scenario)


@changes
def test_its_pod_goes_though_nobody_heard_of_the_change(labels: dict[str, str | None]) -> None:
    """The first news of it is that it has ended, and is another's."""

    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        (replica,) = world.replicas.all
        until = clock.monotonic() + 0.5
        replica.process.client.faults.lose(lambda *_: clock.monotonic() < until)
        relabel(world, labels)
        await world.until_finished()
        await settle_down(world)
        expect_invariants(world)

    in_fake_time(scenario)


def _trainer_has_ended(world: World) -> bool:
    return any(
        "terminated" in one["state"]
        for pod in world.pods_named("digits-1-0")
        for one in pod["status"].get("containerStatuses", ())
    )


def test_while_it_may_not_be_changed_nothing_is_started_beside_it() -> None:
    async def play(world: World) -> None:
        (replica,) = world.replicas.all
        replica.process.client.faults.on(calls("patch", PODS), before=fail(Forbidden("not now")))
        relabel(world, LABELS["by which we watch"])
        await world.clock.sleep(90)
        assert world.attempt() == 1
        assert world.condition("Succeeded")["reason"] == "WritesRefused"
        assert "put our labels back" in world.condition("Succeeded")["message"]
        replica.process.client.faults.clear()

    in_a_world(play)


def test_one_that_is_gone_without_a_word_is_believed_to_be_gone() -> None:
    async def play(world: World) -> None:
        relabel(world, LABELS["by which we watch"])
        world.server.delete(PODS, "digits-1-0", namespace="research", grace_seconds=0)
        await world.until(lambda: world.attempt() == 2, "attempt 2")

    in_a_world(play)
