"""Stale caches, lost news, silent watches, a broken network, an API server that restarts."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import calls, fail
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.replicas import Replica
from kit.simcluster.stories import demo, settle_down
from kit.simcluster.world import World
from spot_operator.control.client import WatchEvent
from spot_operator.control.errors import Unavailable
from spot_operator.control.resource import PODS, Resource

ENDINGS = ["Paused", "NodeLost", "NodeLost", "Completed"]


def in_a_world(play: Callable[[World], Awaitable[None]], **make: int) -> None:
    """Play, and expect the invariants."""

    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, **make)  # type: ignore[arg-type]
        await play(world)
        expect_invariants(world)

    in_fake_time(scenario)


def endings(world: World) -> list[str]:
    return [ending for _, ending, _ in outcome(world)["endings"]]


@pytest.mark.parametrize("lag", [0.5, 3.0, 12.0])
def test_news_that_comes_late_changes_when_but_not_what(lag: float) -> None:
    async def play(world: World) -> None:
        def slow(replica: Replica) -> None:
            replica.process.client.faults.lag = lag
            replica.process.client.faults.latency = 0.05

        world.replicas.all[0].on_start = slow
        await demo(world)
        assert endings(world) == ENDINGS

    in_a_world(play)


@pytest.mark.parametrize("every", [2, 3, 5])
def test_lost_news_of_pods_is_made_up_for(every: int) -> None:
    """Every so-manieth pod event never arrives, and nothing says that it did not."""

    async def play(world: World) -> None:
        count = 0

        def lost(resource: Resource, event: WatchEvent) -> bool:
            nonlocal count
            count += resource == PODS and event.type != "BOOKMARK"
            return resource == PODS and event.type != "BOOKMARK" and count % every == 0

        def deaf(replica: Replica) -> None:
            replica.process.client.faults.lose(lost)

        world.replicas.all[0].on_start = deaf
        await demo(world)
        assert outcome(world)["succeeded"] == "Completed"

    in_a_world(play)


def test_what_the_server_did_without_saying_so_is_not_done_twice() -> None:
    """Every third write is done, and its answer lost."""

    async def play(world: World) -> None:
        count = 0

        def unlucky(replica: Replica) -> None:
            def third(call: object) -> bool:
                nonlocal count
                count += getattr(call, "is_write", False)
                return bool(getattr(call, "is_write", False)) and count % 3 == 0

            replica.process.client.faults.on(third, after=fail(Unavailable("reset by peer")))

        world.replicas.all[0].on_start = unlucky
        await demo(world)
        assert endings(world) == ENDINGS

    in_a_world(play)


def test_an_operator_that_cannot_see_restarts_nothing() -> None:
    """Invariant I2: ten minutes without a watch, and the job trains on."""

    async def play(world: World) -> None:
        world.plan.steps = 800
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 20, "step 20")
        faults = world.replicas.all[0].process.client.faults
        faults.blind = True
        await world.clock.sleep(600)
        assert world.status()["attempt"] == 1
        assert list(world.pods_seen) == ["digits-1-0"]
        faults.blind = False
        await world.until_finished()
        await settle_down(world)
        assert endings(world) == ["Completed"]

    in_a_world(play)


def test_an_operator_cut_off_for_minutes_restarts_nothing() -> None:
    async def play(world: World) -> None:
        world.plan.steps = 500
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 20, "step 20")
        faults = world.replicas.all[0].process.client.faults
        faults.cut = True
        await world.clock.sleep(200)
        faults.cut = False
        await world.until_finished()
        await settle_down(world)
        assert endings(world) == ["Completed"]

    in_a_world(play)


def test_leases_that_all_go_stale_are_our_blindness_not_their_death() -> None:
    """The nodes cannot reach the API server for five minutes; their pods train on."""

    async def play(world: World) -> None:
        world.plan.steps = 500
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 20, "step 20")
        for node in world.nodes.values():
            node.cut_off = True
        await world.clock.sleep(300)
        assert world.status()["attempt"] == 1
        for node in world.nodes.values():
            node.cut_off = False
        await world.until_finished()
        await settle_down(world)
        assert endings(world) == ["Completed"]

    in_a_world(play)


def test_an_api_server_that_restarts_often_is_only_slow() -> None:
    async def play(world: World) -> None:
        stop = False

        async def restarts() -> None:
            while not stop:
                await world.clock.sleep(17)
                world.server.restart()

        task = asyncio.get_running_loop().create_task(restarts())
        await demo(world)
        task.cancel()
        assert endings(world) == ENDINGS

    in_a_world(play)


def test_lists_and_writes_that_fail_now_and_then_only_delay() -> None:
    async def play(world: World) -> None:
        def flaky(replica: Replica) -> None:
            faults = replica.process.client.faults
            faults.on(calls("list"), before=fail(Unavailable("503")), times=4)
            faults.on(calls("create", PODS), before=fail(Unavailable("503")), times=3)

        world.replicas.all[0].on_start = flaky
        await demo(world)
        assert endings(world) == ENDINGS

    in_a_world(play)


def test_a_pod_that_was_bound_and_removed_unseen_may_still_run() -> None:
    """Last seen without a node, it was bound and deleted by force while a watch was silent."""

    async def play(world: World) -> None:
        world.plan.steps = 300
        replica = world.replicas.all[0]

        def placed(resource: Resource, event: WatchEvent) -> bool:
            return resource == PODS and bool((event.object.get("spec") or {}).get("nodeName"))

        replica.on_start = lambda one: one.process.client.faults.lose(placed)
        world.apply(a_job_manifest())
        await world.until(lambda: any(node.programs() for node in world.nodes.values()), "a start")
        assert replica.operator is not None
        (seen,) = replica.operator.caches.pods.items()
        assert "nodeName" not in seen["spec"]
        faults = replica.process.client.faults
        faults.blind = True
        node = world.node_of(1)
        node.cut_off = True
        world.server.delete(PODS, "digits-1-0", namespace="research", grace_seconds=0)
        await world.clock.sleep(65)
        assert not replica.operator.caches.pods.items(), "a list has told of its end"
        faults.blind = False
        faults.clear()
        await world.clock.sleep(60)
        assert node.programs()
        assert list(world.pods_seen) == ["digits-1-0"]
        node.cut_off = False
        await world.until_finished()
        await settle_down(world)

    in_a_world(play)
