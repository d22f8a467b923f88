"""Two releases of the operator in one cluster: the second one waits, or has its own namespaces."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import Call
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.replicas import Replica, Replicas
from kit.simcluster.stories import demo, settle_down
from kit.simcluster.world import World
from spot_operator.control.resource import LEASES, NAMESPACES, SECRETS
from spot_operator.observability.health import alive, ready


class Second:
    """Another release, in a namespace of its own."""

    def __init__(self, world: World, **settings: Any) -> None:
        world.server.create(NAMESPACES, {"metadata": {"name": "ml-ops"}})
        secret = {"metadata": {"name": "spot-training-reports-ca", "namespace": "ml-ops"}}
        world.server.create(SECRETS, secret)
        chosen = {"namespace": "ml-ops", "lease_name": "other", **settings}
        self.replicas = Replicas(world.server, world.clock, 2, **chosen)
        self.writes: list[Call] = []
        for replica in self.replicas.all:
            replica.on_start = self._listen
        self.task = asyncio.get_running_loop().create_task(self.replicas.run())

    def _listen(self, replica: Replica) -> None:
        def is_write(call: Call) -> bool:
            return call.is_write and call.resource != LEASES

        async def note(call: Call) -> None:
            self.writes.append(call)

        replica.process.client.faults.on(is_write, before=note)

    def refusals(self) -> list[str]:
        """Why its replicas are not ready."""
        verdicts = [ready(one.operator.facts()) for one in self.replicas.all if one.operator]
        return [verdict.why for verdict in verdicts if not verdict.good]


def in_a_world(play: Callable[[World], Awaitable[None]]) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        await world.until(lambda: world.replicas.leader() is not None, "leader", limit=60)
        await play(world)
        expect_invariants(world)

    in_fake_time(scenario)


def test_the_second_release_changes_nothing_and_says_why() -> None:
    async def play(world: World) -> None:
        second = Second(world)
        await demo(world)
        assert outcome(world)["endings"][-1][1] == "Completed"
        assert second.writes == []
        assert len(second.refusals()) == 2
        assert "spot-system/spot-training-operator already watches" in second.refusals()[0]

    in_a_world(play)


def test_one_that_waits_is_alive_whatever_becomes_of_the_others_jobs() -> None:
    """Its shell hears of every job, and no worker takes one."""

    async def play(world: World) -> None:
        second = Second(world)
        world.apply(a_job_manifest(suspend=True))
        await world.clock.sleep(30)
        processes = [one.operator for one in second.replicas.all if one.operator]
        for one in processes:
            one.look_at("research", "digits")
        await world.clock.sleep(1200)
        for one in processes:
            assert alive(one.facts()).good
        # What they heard of as well when they begin to work at last.
        for replica in world.replicas.all:
            replica.wanted = False
            await replica.process.kill()
        end = world.clock.monotonic() + 120
        while not any(one.works() for one in processes):
            assert world.clock.monotonic() < end
            assert all(alive(one.facts()).good for one in processes)
            await world.clock.sleep(0.5)

    in_a_world(play)


def test_it_goes_on_with_the_jobs_of_a_release_that_is_gone() -> None:
    async def play(world: World) -> None:
        second = Second(world)
        world.plan.steps = 200
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        for replica in world.replicas.all:
            replica.wanted = False
            await replica.process.kill()
        began = world.clock.monotonic()
        await world.until(
            lambda: any(one.operator and one.operator.works() for one in second.replicas.all),
            "take-over",
            limit=120,
        )
        assert world.clock.monotonic() - began > 20
        world.replicas = second.replicas
        world.node_of(1).power_cut()
        await world.until_finished()
        await settle_down(world)
        assert second.refusals() == []

    in_a_world(play)


def test_a_release_with_namespaces_of_its_own_leaves_others_alone() -> None:
    async def play(world: World) -> None:
        # The first watches everything: this one must wait although only `default` is asked for.
        second = Second(world, watch_namespaces="default")
        await world.clock.sleep(30)
        assert len(second.refusals()) == 2
        for replica in world.replicas.all:
            replica.wanted = False
            await replica.process.kill()
        world.apply(a_job_manifest())
        await world.until(lambda: second.refusals() == [], "take-over", limit=120)
        await world.clock.sleep(60)
        assert world.status() == {}, "jobs of research are none of its own"
        for replica in world.replicas.all:
            replica._chosen["watch_namespaces"] = "research"
            replica.wanted = True
        await world.until_finished()
        await settle_down(world)

    in_a_world(play)
