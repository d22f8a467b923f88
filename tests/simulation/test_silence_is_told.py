"""Reports that stop under a trainer that goes on: told, ended by nothing, and taken back."""

from collections.abc import Awaitable, Callable

from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import Call
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.replicas import Replica
from kit.simcluster.world import World
from spot_operator.reconcile.kinds import JOBS


def in_a_world(play: Callable[[World], Awaitable[None]], *, replicas: int = 1) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, replicas=replicas)
        await play(world)
        expect_invariants(world)

    in_fake_time(scenario)


def reason(world: World, kind: str = "Running") -> str:
    return str(world.condition(kind).get("reason"))


async def training(world: World) -> None:
    world.plan.steps = 1000
    world.apply(a_job_manifest())
    await world.until(lambda: world.step() >= 12 and reason(world) == "Training", "training")


def test_a_mute_sidecar_is_told_of_and_training_goes_on() -> None:
    async def play(world: World) -> None:
        await training(world)
        world.mute = True
        began = world.clock.monotonic()
        await world.until(lambda: reason(world) == "ReportsSilent", "silence is told")
        assert 115 <= world.clock.monotonic() - began <= 150
        assert reason(world, "CheckpointsHealthy") == "ReportsSilent"
        assert world.condition("Running")["status"] == "Unknown"
        assert "ReportsSilent" in " ".join(world.events())
        await world.clock.sleep(600)
        assert (world.attempt(), reason(world)) == (1, "ReportsSilent")
        world.mute = False
        await world.until(lambda: reason(world) in {"Training", "NoAttempt"}, "it is heard again")
        await world.until_finished()
        assert [ending for _, ending, _ in outcome(world)["endings"]] == ["Completed"]

    in_a_world(play)


def test_a_silent_job_at_rest_is_not_written_and_leaders_agree_on_it() -> None:
    writes: list[str] = []

    async def play(world: World) -> None:
        def watch(replica: Replica) -> None:
            def noted(call: Call) -> bool:
                if call.resource == JOBS and call.is_write:
                    writes.append(str(call))
                return False

            replica.process.client.faults.on(noted)

        for replica in world.replicas.all:
            replica.on_start = watch
        await training(world)
        world.mute = True
        await world.until(lambda: reason(world) == "ReportsSilent", "silence is told")
        await world.clock.sleep(120)
        said = world.condition("Running")
        writes.clear()
        for _ in range(3):
            leader = world.replicas.leader()
            assert leader is not None
            await leader.process.kill()
            await world.clock.sleep(180)
        assert world.condition("Running") == said
        assert writes == []
        world.mute = False
        await world.until_finished(limit=3600)

    in_a_world(play, replicas=2)


def test_a_new_leader_keeps_what_was_heard_for_a_bounded_time() -> None:
    async def play(world: World) -> None:
        await training(world)
        leader = world.replicas.leader()
        assert leader is not None
        world.mute = True
        await leader.process.kill()
        await world.until(lambda: world.replicas.leader() is not None, "the next leader")
        await world.clock.sleep(60)
        assert reason(world) == "Training"
        await world.until(lambda: reason(world) == "ReportsSilent", "it has listened long enough")
        world.mute = False
        await world.until_finished(limit=3600)

    in_a_world(play, replicas=2)
