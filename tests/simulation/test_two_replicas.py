"""Leadership changes hands, cleanly, by death and by a pause; at no time do two act."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import Call, run
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.stories import demo, settle_down
from kit.simcluster.world import World
from spot_operator.control.resource import LEASES

ENDINGS = ["Paused", "NodeLost", "NodeLost", "Completed"]


def in_a_world(play: Callable[[World], Awaitable[None]], *, late_post: bool = False) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, replicas=2)
        await play(world)
        expect_invariants(world, late_post=late_post)

    in_fake_time(scenario)


def endings(world: World) -> list[str]:
    return [ending for _, ending, _ in outcome(world)["endings"]]


async def a_leader(world: World) -> None:
    await world.until(lambda: world.replicas.leader() is not None, "leader", limit=60)


@pytest.mark.parametrize(("every", "until"), [(7.0, 180.0), (23.0, 180.0), (75.0, 3600.0)])
def test_the_leader_dies_again_and_again(every: float, until: float) -> None:
    """A node is called lost by who has led for 40 s at least: the first two wait for calm."""

    async def play(world: World) -> None:
        async def murders() -> None:
            while world.clock.monotonic() < until:
                await world.clock.sleep(every)
                leader = world.replicas.leader()
                if leader is not None:
                    await leader.process.kill()

        task = asyncio.get_running_loop().create_task(murders())
        await demo(world)
        task.cancel()
        assert endings(world) == ENDINGS

    in_a_world(play)


@pytest.mark.parametrize("write", [3, 5, 8, 13, 21, 34])
@pytest.mark.parametrize("paused", [12.0, 60.0])
def test_a_leader_paused_within_a_write_wakes_up_to_another(write: int, paused: float) -> None:
    """SIGSTOP as the request is about to leave; SIGCONT when the other leads, or just before."""

    async def play(world: World) -> None:
        await a_leader(world)
        leader = world.replicas.leader()
        assert leader is not None
        process, count = leader.process, 0

        def the_one(call: Call) -> bool:
            nonlocal count
            if not call.is_write or call.resource == LEASES:
                return False
            count += 1
            return count == write

        async def pause() -> None:
            process.pause()
            world.later(paused, process.resume)
            await process.clock.sleep(0)

        process.client.faults.on(the_one, before=run(pause), times=1)
        await demo(world)
        assert endings(world) == ENDINGS

    in_a_world(play, late_post=True)


def test_a_leader_told_to_end_hands_over_within_seconds() -> None:
    async def play(world: World) -> None:
        world.plan.steps = 90
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 20, "step 20")
        leader = world.replicas.leader()
        assert leader is not None
        leader.wanted = False
        leader.end_gracefully()
        began = world.clock.monotonic()
        await world.until(
            lambda: world.replicas.leader() not in {None, leader}, "new leader", limit=20
        )
        assert world.clock.monotonic() - began < 5.0
        await world.until_finished()
        await settle_down(world)
        assert endings(world) == ["Completed"]

    in_a_world(play)


def test_both_replicas_are_down_while_a_node_dies() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 25, "step 25")
        for replica in world.replicas.all:
            replica.wanted = False
            await replica.process.kill()
        world.node_of(1).power_cut()
        await world.clock.sleep(120)
        assert world.attempt() == 1
        for replica in world.replicas.all:
            replica.wanted = True
        await world.until_finished()
        await settle_down(world)
        assert endings(world) == ["NodeLost", "Completed"]
        assert world.status()["attempts"][1]["resumedFrom"]["step"] == 20

    in_a_world(play)


def test_both_replicas_are_down_while_the_job_completes_and_its_node_goes() -> None:
    """The pod that said Finished is collected with its node: the store remembers."""

    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 55, "step 55")
        node = world.node_of(1)
        for replica in world.replicas.all:
            replica.wanted = False
            await replica.process.kill()
        await world.until(lambda: bool(world.lineage().complete), "completion marker")
        await world.clock.sleep(10)
        node.remove()
        world.collect_pods_of_absent_nodes()
        for replica in world.replicas.all:
            replica.wanted = True
        await world.until_finished()
        await settle_down(world)
        assert outcome(world)["succeeded"] == "Completed"
        assert len(world.steps) == 60

    in_a_world(play)
