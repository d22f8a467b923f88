"""The operator dies after each single write of a story, comes back empty, and nothing differs."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import Call, run
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.replicas import Replica
from kit.simcluster.stories import demo, script
from kit.simcluster.world import World
from spot_operator.control.resource import LEASES

Json = dict[str, Any]


def matters(call: Call) -> bool:
    """A renewal of the leader's own Lease changes nothing else; every other write counts."""
    return call.is_write and not (call.resource == LEASES and call.verb == "replace")


Story = Callable[[World], Awaitable[None]]
STORIES: dict[str, Story] = {"demo": demo, "script": script}


def play(story: Story, crash_at: int | None) -> tuple[Json, list[str]]:
    """The outcome of the story, and the writes of the first life of the operator."""
    writes: list[str] = []

    async def scenario(clock: FakeClock) -> Json:
        world = await World.make(clock)
        lives = 0

        def watch(replica: Replica) -> None:
            nonlocal lives
            lives += 1
            process, armed = replica.process, lives == 1

            def is_the_one(call: Call) -> bool:
                if not armed or not matters(call):
                    return False
                writes.append(str(call))
                return len(writes) == crash_at

            process.client.faults.on(is_the_one, after=run(process.die))

        world.replicas.all[0].on_start = watch
        await story(world)
        # The last writes come with the end of the story: the second life must have its say too.
        await world.clock.sleep(60)
        expect_invariants(world)
        assert lives == (1 if crash_at is None else 2)
        return outcome(world)

    return in_fake_time(scenario), writes


@functools.cache
def undisturbed(story: Story) -> tuple[Json, list[str]]:
    return play(story, None)


CHUNKS = 8
"""One test per so many writes would say nothing more and cost a fixture each."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", STORIES)
def test_the_world_ends_the_same(name: str, chunk: int) -> None:
    story = STORIES[name]
    expected, writes = undisturbed(story)
    assert len(writes) > 40
    for number in range(1 + chunk, len(writes) + 1, CHUNKS):
        found, made = play(story, number)
        assert made[-1] == writes[number - 1]
        assert found == expected, f"crashed after write {number}: {writes[number - 1]}"
