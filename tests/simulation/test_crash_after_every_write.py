"""The operator dies after each single write of a story, comes back empty, and nothing differs."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.simcluster.crashes import crashing
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.stories import demo, mesh, script
from kit.simcluster.world import World

Json = dict[str, Any]


Story = Callable[[World], Awaitable[None]]
STORIES: dict[str, Story] = {"demo": demo, "script": script, "mesh": mesh}


def play(story: Story, crash_at: int | None) -> tuple[Json, list[str]]:
    """The outcome of the story, and the writes of the first life of the operator."""

    async def whole(world: World) -> Json:
        await story(world)
        # The last writes come with the end of the story: the second life must have its say too.
        await world.clock.sleep(60)
        expect_invariants(world)
        return outcome(world)

    return crashing(whole, crash_at)


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
