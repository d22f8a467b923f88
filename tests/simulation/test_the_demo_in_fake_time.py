"""A job loses its nodes with and without warning, a checkpoint is spoilt, and it ends exactly."""

from typing import Any

from kit.clock import FakeClock, in_fake_time
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.store import Model
from kit.simcluster.stories import demo
from kit.simcluster.world import World

Json = dict[str, Any]


def test_the_job_survives_a_notice_and_two_power_cuts_and_a_spoilt_checkpoint() -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        await demo(world)
        expect_invariants(world)
        assert outcome(world) == {
            "state": "Finished",
            "succeeded": "Completed",
            "endings": [
                (1, "Paused", "Interruption"),
                (2, "NodeLost", "Interruption"),
                (3, "NodeLost", "Interruption"),
                (4, "Completed", None),
            ],
            "interruptions": 3,
            "failures": 0,
            "result": [Model().after(60).weights],
            "claims": [1, 2, 3, 4],
            "pods": [],
        }
        expect_no_step_twice_across_the_notice(world)
        expect_the_spoilt_checkpoint_was_not_used(world)

    in_fake_time(scenario)


def test_the_same_seed_gives_the_same_world_to_the_microsecond() -> None:
    def run() -> tuple[Json, list[tuple[float, int, int]], list[str]]:
        async def scenario(
            clock: FakeClock,
        ) -> tuple[Json, list[tuple[float, int, int]], list[str]]:
            world = await World.make(clock, seed=7, replicas=2)
            await demo(world)
            return world.job(), world.steps, world.events()

        return in_fake_time(scenario)

    assert run() == run()


def expect_no_step_twice_across_the_notice(world: World) -> None:
    """Attempt 2 goes on exactly where attempt 1 paused."""
    first = [step for _, attempt, step in world.steps if attempt == 1]
    second = [step for _, attempt, step in world.steps if attempt == 2]
    assert second[0] == first[-1] + 1
    assert first + second == list(range(1, second[-1] + 1))


def expect_the_spoilt_checkpoint_was_not_used(world: World) -> None:
    third, fourth = world.status()["attempts"][2:]
    assert fourth["resumedFrom"] == third["resumedFrom"]
    assert fourth["replayedSteps"] == world.status()["totals"]["replayedSteps"] > 0
