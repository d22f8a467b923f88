"""The operator dies amid each way an attempt or a job ends, and the next leader's clock is wrong.

Undated answers leave that leader its own wall clock alone, a day ahead or behind.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.jobs import a_job_manifest
from kit.simcluster.crashes import crashing
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.node import Refusal
from kit.simcluster.replicas import Replica
from kit.simcluster.stories import settle_down
from kit.simcluster.world import World
from spot_operator.api.names import FINALIZER
from spot_operator.control.clock import timestamp
from spot_operator.control.errors import Forbidden
from spot_operator.control.resource import PODS

Json = dict[str, Any]
Story = Callable[[World], Awaitable[None]]

DAY = 86_400.0
QUOTA = 30.0
"""Seconds from the start of a story until there is room."""
EVERY = 9
"""A write in so many is tried of each story, another one for each clock."""
DELETE: Json = {
    "checkpoint": {"store": {"s3": {"bucket": "checkpoints"}}, "deletionPolicy": "Delete"}
}


async def at_work(world: World, **spec: Any) -> None:
    world.plan.steps = 30
    world.apply(a_job_manifest(**spec))
    await world.until(lambda: world.step() >= 12, "step 12")


async def until_it_is_made(world: World) -> None:
    """The attempt's number is taken, and no pod of it is on record: a quota is used up."""

    def refuse(_: Json) -> None:
        if world.clock.monotonic() < QUOTA:
            raise Forbidden("exceeded quota: gpus", status=403)

    world.webhook(refuse)
    await world.until(lambda: world.status().get("state") == "Creating", "attempt 1")


async def to_the_end(world: World) -> None:
    await world.until_finished(limit=7200)
    await settle_down(world)


async def crashed_and_kept(world: World) -> None:
    world.plan.steps, world.plan.crashes = 20, {1: 5, 2: 8}
    world.apply(a_job_manifest(podCleanup="KeepFailed"))
    await to_the_end(world)


async def refused(world: World) -> None:
    world.plan.refuses = True
    world.apply(a_job_manifest())
    await to_the_end(world)


async def exited_with_0(world: World) -> None:
    world.plan.exits_early = {1: 15}
    world.apply(a_job_manifest(completion="ExitCode"))
    await to_the_end(world)


async def pod_deleted(world: World) -> None:
    await at_work(world)
    world.server.delete(PODS, "digits-1-0", namespace="research")
    await to_the_end(world)


async def evicted(world: World) -> None:
    await at_work(world)
    at = timestamp(world.clock.now())
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    body = {"status": {"conditions": [{**condition, "lastTransitionTime": at}]}}
    world.server.patch(PODS, "digits-1-0", body, namespace="research", subresource="status")
    world.server.delete(PODS, "digits-1-0", namespace="research")
    await to_the_end(world)


async def rejected(world: World) -> None:
    world.plan.steps = 15
    no = {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected: no room"}
    for node in world.nodes.values():
        node.refuses = Refusal(no, pods=1)
    world.apply(a_job_manifest())
    await to_the_end(world)


async def suspended_at_once(world: World) -> None:
    world.plan.steps = 15
    world.apply(a_job_manifest())
    await until_it_is_made(world)
    world.edit(suspend=True)
    await world.clock.sleep(60)
    world.edit(suspend=False)
    await to_the_end(world)


async def suspended_and_resumed(world: World) -> None:
    await at_work(world)
    world.edit(suspend=True)
    await world.until(lambda: not world.pods(), "end of the pod", limit=400)
    world.edit(suspend=False)
    await to_the_end(world)


async def stalled(world: World) -> None:
    world.plan.steps, world.plan.hangs = 20, {1: 12}
    world.apply(a_job_manifest(stallTimeout="1m"))
    await to_the_end(world)


async def node_removed(world: World) -> None:
    await at_work(world)
    world.node_of(1).remove()
    world.later(40, world.collect_pods_of_absent_nodes)
    await to_the_end(world)


async def registry_down(world: World) -> None:
    world.plan.steps = 15
    for node in world.nodes.values():
        node.pull_error = "dial tcp: i/o timeout"
        world.later(900, functools.partial(setattr, node, "pull_error", None))
    world.apply(a_job_manifest())
    await to_the_end(world)


async def name_taken(world: World) -> None:
    world.plan.steps = 15
    spec = {"schedulerName": "another", "containers": [{"name": "other", "image": "other:1"}]}
    body = {"metadata": {"name": "digits-1-0", "namespace": "research"}, "spec": spec}
    world.server.create(PODS, body)
    world.apply(a_job_manifest())
    await world.until_finished(limit=7200)
    world.server.delete(PODS, "digits-1-0", namespace="research", grace_seconds=0)
    await settle_down(world)


async def until_gone(world: World) -> None:
    await world.until(lambda: not world.exists(), "end of the job", limit=7200)
    await world.until(lambda: not world.pods(), "end of its last pod")


async def deleted_while_it_is_made(world: World) -> None:
    world.apply(a_job_manifest(**DELETE))
    await until_it_is_made(world)
    world.delete()
    await until_gone(world)


async def deleted_at_work(world: World) -> None:
    await at_work(world, **DELETE)
    world.purges_fail = 1
    world.delete()
    await until_gone(world)


async def deleted_when_done(world: World) -> None:
    world.plan.steps = 15
    world.apply(a_job_manifest(ttlSecondsAfterFinished=30, **DELETE))
    await until_gone(world)


async def held_and_let_go(world: World) -> None:
    await at_work(world, **DELETE)
    world.edit(checkpoint={"deletionPolicy": "Retain"})
    await world.until(
        lambda: FINALIZER not in world.job()["metadata"].get("finalizers", ()), "release"
    )
    await to_the_end(world)


STORIES: dict[str, Story] = {
    one.__name__: one
    for one in (
        crashed_and_kept,
        refused,
        exited_with_0,
        pod_deleted,
        evicted,
        rejected,
        suspended_at_once,
        suspended_and_resumed,
        stalled,
        node_removed,
        registry_down,
        name_taken,
        deleted_while_it_is_made,
        deleted_at_work,
        deleted_when_done,
        held_and_let_go,
    )
}


def comparable(found: Json) -> Json:
    """What is charged. How often a node is sought, and what of an interruption is known once its
    pod went unseen, is not the story's."""
    endings = [charged or how for _, how, charged in found["endings"] if how != "NotPlaced"]
    return {**found, "endings": endings, "claims": len(found["claims"])}


def play(name: str, crash_at: int | None, skew: float = 0.0) -> tuple[Json, list[str]]:
    """The outcome of the story, and the writes of the first life of the operator."""

    def go_wrong(replica: Replica) -> None:
        replica.process.client.faults.undated = True
        replica.set_clock(skew)

    async def whole(world: World) -> Json:
        await STORIES[name](world)
        # The last writes come with the end of the story: the second life must have its say too.
        await world.clock.sleep(60)
        if not world.exists():
            for replica in world.replicas.all:
                assert not replica.faults, replica.faults
            return {
                "lineages": [[*one.commits, *one.claims] for one in world.lineages.values()],
                "overlap": [one for _, one in world.purges if one],
            }
        # An attempt that is suspended before its first pod never has one.
        expect_invariants(world, late_post=name == "suspended_at_once")
        return comparable(outcome(world))

    return crashing(whole, crash_at, then=go_wrong)


@functools.cache
def undisturbed(name: str) -> tuple[Json, list[str]]:
    return play(name, None)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("skew", [DAY, -DAY])
@pytest.mark.parametrize("name", STORIES)
def test_the_world_ends_the_same(name: str, skew: float) -> None:
    expected, writes = undisturbed(name)
    # Whoever sees a job first begins its account of time, by the clock that he has.
    begun = next(k for k, write in enumerate(writes, 1) if write.endswith("digits/status"))
    first = begun + 1 + (len(name) + (skew > 0) * 4) % EVERY
    for number in range(first, len(writes) + 1, EVERY):
        found, made = play(name, number, skew)
        assert made[-1] == writes[number - 1]
        assert found == expected, f"crashed after write {number}: {writes[number - 1]}"
