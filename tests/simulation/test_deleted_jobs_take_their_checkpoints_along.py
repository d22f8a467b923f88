"""`deletionPolicy: Delete` in a whole cluster, whatever dies, fails or is changed meanwhile."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.simcluster.crashes import crashing
from kit.simcluster.world import World
from spot_operator.api.names import FINALIZER
from spot_operator.control.resource import NAMESPACES
from spot_operator.domain.checkpoint_deletion import TRIES

Json = dict[str, Any]
Story = Callable[[World], Awaitable[None]]


def a_manifest(policy: str = "Delete", **spec: Any) -> Json:
    checkpoint = {"store": {"s3": {"bucket": "checkpoints"}}, "deletionPolicy": policy}
    return a_job_manifest(checkpoint=checkpoint, **spec)


def is_held_by(world: World, finalizers: list[str]) -> bool:
    return bool(world.job()["metadata"].get("finalizers", []) == finalizers)


def uid_of(world: World) -> str:
    return str(world.job()["metadata"]["uid"])


async def at_work(world: World, policy: str = "Delete", **spec: Any) -> str:
    """A job that trains and has checkpoints; its uid."""
    world.apply(a_manifest(policy, **spec))
    await world.until(lambda: world.step() >= 12, "step 12")
    return uid_of(world)


async def until_gone(world: World, *, limit: float = 900.0) -> None:
    await world.until(lambda: not world.exists(), "end of the job", limit=limit)
    await world.until(lambda: not world.pods(), "end of its last pod")


def expect_purged(world: World, uid: str, *, tries: int | None = 1) -> None:
    """It was deleted, for that job alone, when nothing of it ran any more."""
    assert world.purges
    assert all(one == (uid, []) for one in world.purges)
    assert tries is None or len(world.purges) == tries
    lineage = world.lineages[uid]
    assert (lineage.claims, lineage.commits, lineage.complete) == ({}, [], {})
    for replica in world.replicas.all:
        assert not replica.faults, replica.faults


def expect_untouched(world: World, uid: str) -> None:
    assert world.purges == []
    assert world.lineages[uid].commits


def play(story: Story, **options: Any) -> None:
    async def scenario(clock: FakeClock) -> None:
        await story(await World.make(clock, **options))

    in_fake_time(scenario)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_a_running_job_is_ended_first(propagation: Literal["Background", "Foreground"]) -> None:
    async def story(world: World) -> None:
        uid = await at_work(world)
        world.delete(propagation=propagation)
        await until_gone(world)
        expect_purged(world, uid)
        assert "CheckpointsDeleted" in world.events()

    play(story)


def test_a_job_whose_node_died_with_it_is_waited_for() -> None:
    async def story(world: World) -> None:
        uid = await at_work(world)
        world.node_of(1).power_cut()
        world.delete()
        await world.clock.sleep(30)
        assert world.purges == [], "the node may only be cut off"
        await until_gone(world)
        expect_purged(world, uid)

    play(story)


def test_a_finished_job_goes_with_its_checkpoints_when_its_time_is_over() -> None:
    async def story(world: World) -> None:
        uid = await at_work(world, ttlSecondsAfterFinished=60)
        await world.until_finished()
        assert world.lineages[uid].complete
        await until_gone(world)
        expect_purged(world, uid)

    play(story)


def test_retain_leaves_everything_and_holds_nothing() -> None:
    async def story(world: World) -> None:
        uid = await at_work(world, "Retain")
        assert "finalizers" not in world.job()["metadata"]
        world.delete()
        await until_gone(world)
        expect_untouched(world, uid)

    play(story)


def test_the_policy_of_a_live_job_may_change_there_and_back() -> None:
    async def story(world: World) -> None:
        uid = await at_work(world, "Retain")
        for policy, held in (("Delete", [FINALIZER]), ("Retain", []), ("Delete", [FINALIZER])):
            world.edit(checkpoint={"deletionPolicy": policy})
            await world.until(functools.partial(is_held_by, world, held), policy)
        world.delete()
        await until_gone(world)
        expect_purged(world, uid)

    play(story)


def test_retain_lets_a_job_go_that_is_being_deleted() -> None:
    async def story(world: World) -> None:
        uid = await at_work(world)
        world.purges_fail = 99
        world.delete()
        await world.until(lambda: bool(world.purges), "first try")
        world.edit(checkpoint={"deletionPolicy": "Retain"})
        await until_gone(world, limit=60)
        assert world.lineages[uid].commits

    play(story)


def test_a_purge_that_fails_is_tried_again() -> None:
    async def story(world: World) -> None:
        uid = await at_work(world)
        world.purges_fail = 2
        world.delete()
        await until_gone(world)
        expect_purged(world, uid, tries=3)
        assert world.events().count("PurgeFailed") == 2

    play(story)


def test_a_purge_that_always_fails_lets_the_job_go_and_says_so() -> None:
    async def story(world: World) -> None:
        uid = await at_work(world)
        world.purges_fail = 99
        world.delete()
        await until_gone(world, limit=1800)
        assert len(world.purges) == TRIES
        assert "CheckpointsLeft" in world.events()
        assert world.lineages[uid].commits

    play(story)


def test_a_purge_whose_node_dies_is_tried_again() -> None:
    async def story(world: World) -> None:
        uid = await at_work(world)
        world.delete()
        await world.until(lambda: bool(world.purges), "first try")
        (pod,) = [one for one in world.pods() if "purge" in one["metadata"]["name"]]
        node = world.nodes[pod["spec"]["nodeName"]]
        node.remove()
        world.collect_pods_of_absent_nodes()
        await until_gone(world)
        expect_purged(world, uid, tries=None)

    play(story)


def test_a_namespace_that_is_deleted_is_not_held_up() -> None:
    async def story(world: World) -> None:
        await at_work(world)
        world.server.delete(NAMESPACES, "research")
        await until_gone(world, limit=300)
        assert world.purges == []

    play(story)


def test_a_job_of_the_same_name_starts_at_once_and_keeps_its_own() -> None:
    async def story(world: World) -> None:
        first = await at_work(world)
        world.delete()
        await world.until(lambda: not world.exists(), "end of the job")
        world.steps.clear()
        began = world.clock.monotonic()
        second = await at_work(world)
        assert world.clock.monotonic() - began < 45
        await world.until_finished()
        expect_purged(world, first)
        assert world.lineages[second].complete

    play(story)


# --- the operator dies after each single write --------------------------------------------------


async def deletion_actions(world: World) -> None:
    """A job that was interrupted once is deleted; its first purge fails."""
    await at_work(world)
    first = world.node_of(1)
    first.power_cut()
    await world.until(lambda: world.attempt() == 2 and world.step() >= 15, "step 15 of attempt 2")
    first.power_on()
    world.purges_fail = 1
    world.delete()
    await until_gone(world)


async def farewell_and_proof(world: World) -> None:
    await deletion_actions(world)
    await world.clock.sleep(30)
    (uid,) = world.lineages
    expect_purged(world, uid, tries=2)
    assert not world.exists()
    assert world.pods() == []
    assert sorted(world.pods_seen) == [
        "digits-1-0", "digits-2-0", "digits-purge-1", "digits-purge-2",
    ]  # fmt: skip
    assert all(len(uids) == 1 for uids in world.pods_seen.values()), "each was created once"


def crash(crash_at: int | None) -> list[str]:
    """The writes of the operator's first life, which ends after so many of them."""
    return crashing(farewell_and_proof, crash_at)[1]


@functools.cache
def undisturbed() -> list[str]:
    return crash(None)


CHUNKS = 4


@pytest.mark.timeout(300)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_crash_after_any_write_neither_leaks_nor_deletes_too_soon(chunk: int) -> None:
    writes = undisturbed()
    assert len(writes) > 30
    for number in range(1 + chunk, len(writes) + 1, CHUNKS):
        made = crash(number)
        assert made[-1] == writes[number - 1]
