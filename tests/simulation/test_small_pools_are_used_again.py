"""A fixed pool of one node, which goes silent, returns, refuses: no job waits for ever beside it.

What a pending pod avoids can never be changed in it, so the attempt is given up, uncharged, when
that node would take it again.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_every_second_accounted, expect_one_attempt_at_a_time
from kit.simcluster.node import Node, Refusal
from kit.simcluster.world import World
from spot_operator.control.clock import timestamp

NO_ROOM = {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected: no room"}
PATIENT = {"interruptions": {"max": 500}, "maxAttemptsWithoutProgress": 100}


def in_a_world(play: Callable[[World], Awaitable[None]], **make: Any) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, spot_nodes=1, policy=PATIENT, **make)
        await play(world)
        assert world.condition("Succeeded")["reason"] == "Completed"
        assert world.status()["budgets"]["failures"]["used"] == 0
        expect_one_attempt_at_a_time(world)
        expect_every_second_accounted(world)

    in_fake_time(scenario)


def the_node(world: World) -> Node:
    return world.nodes["spot-a"]


async def silent(world: World, seconds: float) -> None:
    """The node cannot reach the API server; what runs on it goes on."""
    the_node(world).cut_off = True
    await world.clock.sleep(seconds)
    the_node(world).cut_off = False


async def rebooted(world: World, seconds: float) -> None:
    the_node(world).power_cut()
    await world.clock.sleep(seconds)
    the_node(world).power_on()


async def replaced(world: World, seconds: float) -> None:
    """The machine is taken away, and another comes under its name."""
    the_node(world).remove()
    world.collect_pods_of_absent_nodes()
    await world.clock.sleep(seconds)
    the_node(world).power_on()


async def refusing(world: World, seconds: float) -> None:
    """The kubelet refuses the next pods; the one that runs is ended for it."""
    the_node(world).refuses = Refusal(NO_ROOM, pods=1 + int(seconds) % 3)
    await rebooted(world, 1.0)


async def warned_falsely(world: World, seconds: float) -> None:
    """A preemption is announced and does not come."""
    now = world.clock.now()
    notice = {"kind": "Preempt", "deadline": timestamp(now), "source": "imds", "raw": "terminate"}
    the_node(world).notice = {**notice, "observedAt": timestamp(now)}
    await world.clock.sleep(min(seconds, 60.0))
    the_node(world).notice = None


TROUBLES = (silent, rebooted, replaced, refusing, warned_falsely)


def test_a_job_whose_only_node_was_silent_runs_again_soon() -> None:
    async def play(world: World) -> None:
        world.plan.steps = 200
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        the_node(world).power_cut()
        await world.until(lambda: world.status()["attempt"] == 2, "attempt 2")
        await world.clock.sleep(60)
        assert all(not pod["spec"].get("nodeName") for pod in world.pods())
        the_node(world).power_on()
        await world.until(lambda: world.attempt() > 1, "steps of a later attempt", limit=120)
        await world.until_finished()

    in_a_world(play)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_of_the_only_node_passes(
    trouble: Callable[[World, float], Awaitable[None]],
) -> None:
    async def play(world: World) -> None:
        world.plan.steps = 150
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        await trouble(world, 400.0)
        await world.until_finished(limit=1500)

    in_a_world(play)


@pytest.mark.parametrize("seed", range(12))
def test_no_sequence_of_troubles_leaves_the_job_pending_for_ever(seed: int) -> None:
    async def play(world: World) -> None:
        chance = random.Random(seed)
        world.plan.steps = 400
        world.apply(a_job_manifest())
        for _ in range(chance.randint(2, 5)):
            await world.clock.sleep(chance.uniform(0.0, 90.0))
            await chance.choice(TROUBLES)(world, chance.choice([5.0, 45.0, 170.0, 400.0]))
        the_node(world).refuses = None
        await world.until_finished(limit=3000)

    in_a_world(play, seed=seed)
