"""Replicas on machines whose wall clocks differ, or jump: no attempt is doubled, no job is held.

With the dates of the API server's answers, which every real one sends, the account of time is whole
as well; without them a leader has its own clock alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.replicas import Replica
from kit.simcluster.stories import settle_down
from kit.simcluster.world import World
from spot_operator.control.resource import PODS

DAY = 86_400.0
REST = 3600.0
SKEWS = [(200.0, -200.0), (DAY, 0.0), (0.0, DAY), (0.0, -DAY)]
"""Of the two replicas, in seconds. The first sight of a job begins its account of time."""


DATED = pytest.mark.parametrize("dated", [True, False], ids=["dated", "undated"])


def undate(replica: Replica) -> None:
    replica.process.client.faults.undated = True


def in_a_world(
    play: Callable[[World], Awaitable[None]], skews: tuple[float, float], *, dated: bool = True
) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, replicas=2)
        if not dated:
            for replica in world.replicas.all:
                replica.on_start = undate
        for replica, skew in zip(world.replicas.all, skews, strict=True):
            replica.set_clock(skew)
        await play(world)
        expect_invariants(world)

    in_fake_time(scenario)


async def next_leader(world: World) -> None:
    """The one that leads dies, and stays away until the other leads."""
    await world.until(lambda: world.replicas.leader() is not None, "leader", limit=60)
    leader = world.replicas.leader()
    assert leader is not None
    leader.wanted = False
    await leader.process.kill()
    await world.until(lambda: world.replicas.leader() is not None, "another leader", limit=60)
    leader.wanted = True


def expect_true_times(world: World) -> None:
    """The job is over just now, and its account says so."""
    status, now = world.status(), world.clock.now()
    for instant in (status["time"]["since"], status["attempts"][-1]["endedAt"]):
        assert abs((datetime.fromisoformat(instant) - now).total_seconds()) < 5, (instant, now)
    assert status["time"]["buckets"].get("other", 0.0) < 60, status["time"]


@DATED
@pytest.mark.parametrize("skews", SKEWS)
def test_a_change_of_leaders_amid_every_wait(skews: tuple[float, float], *, dated: bool) -> None:
    """The pod's node goes silent, then it is deleted by somebody, then the trainer crashes."""

    async def play(world: World) -> None:
        world.plan.steps = 300
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 20, "step 20")
        await next_leader(world)
        world.server.delete(PODS, "digits-1-0", namespace="research")
        await world.clock.sleep(1)
        await next_leader(world)
        await world.until(lambda: world.status()["attempt"] == 2, "attempt 2", limit=600)
        await world.until(lambda: world.step() >= 60, "step 60", limit=600)
        await next_leader(world)
        await world.until_finished()
        if dated:
            expect_true_times(world)
        await settle_down(world)
        assert [ending for _, ending, _ in outcome(world)["endings"]][-1] == "Completed"

    in_a_world(play, skews, dated=dated)


@pytest.mark.parametrize("skews", SKEWS)
def test_a_job_that_rests_for_long_under_changing_leaders(skews: tuple[float, float]) -> None:
    """Nothing is written while a job is suspended: who leads then knows no more than the status."""

    async def play(world: World) -> None:
        world.plan.steps = 100
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 20, "step 20")
        world.edit(suspend=True)
        await world.until(lambda: world.status()["state"] == "Waiting", "suspension")
        await world.clock.sleep(REST)
        await next_leader(world)
        world.edit(suspend=False)
        await next_leader(world)
        await world.until_finished()
        expect_true_times(world)
        suspended = world.status()["time"]["buckets"]["suspended"]
        assert abs(suspended - REST) < 60
        await settle_down(world)

    in_a_world(play, skews)


@DATED
@pytest.mark.parametrize("jump", [200.0, -200.0, DAY, -DAY])
def test_the_leaders_own_clock_jumps_amid_an_ending(jump: float, *, dated: bool) -> None:
    async def play(world: World) -> None:
        world.plan.steps = 200
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 20, "step 20")
        leader = world.replicas.leader()
        assert leader is not None
        world.server.delete(PODS, "digits-1-0", namespace="research")
        await asyncio.sleep(0)
        leader.set_clock(jump)
        await world.until_finished()
        expect_true_times(world)
        await settle_down(world)
        assert [ending for _, ending, _ in outcome(world)["endings"]][-1] == "Completed"

    in_a_world(play, (0.0, 0.0), dated=dated)
