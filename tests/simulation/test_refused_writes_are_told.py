"""Writes that the API server, or a webhook behind it, refuses: told to people, and in nobody's way.

Each kind of write is refused for half an hour; then the cause is mended and the job goes on.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import Call, calls, fail
from kit.jobs import a_job_manifest
from kit.simcluster.replicas import Replica
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.control.errors import (
    ApiError,
    Forbidden,
    NamespaceTerminating,
    NotFound,
    Unavailable,
)
from spot_operator.control.resource import EVENTS, PODS
from spot_operator.reconcile.kinds import JOBS

DENIED = Forbidden('admission webhook "frozen" denied the request: not now')
MISSING = NotFound('admission webhook "x.example" denied the request: configmaps "x" not found')
DOWN = Unavailable('failed calling webhook "mpod.kb.io": connection refused', status=500)
LARGE = ApiError("etcdserver: request is too large", status=413, reason="RequestEntityTooLarge")
ANSWERS = [DENIED, MISSING, DOWN, LARGE]
HOLDS = {"store": {"s3": {"bucket": "b"}}, "deletionPolicy": "Delete"}


def in_a_world(play: Callable[[World], Awaitable[None]]) -> None:
    async def scenario(clock: FakeClock) -> None:
        await play(await World.make(clock))

    in_fake_time(scenario)


def refuse(world: World, match: Callable[[Call], bool], error: Exception) -> None:
    """From now on, and in every later life of the operator."""

    def strict(replica: Replica) -> None:
        replica.process.client.faults.on(match, before=fail(error))

    world.replicas.all[0].on_start = strict
    strict(world.replicas.all[0])


def mend(world: World) -> None:
    world.replicas.all[0].on_start = lambda _: None
    world.replicas.all[0].process.client.faults.clear()


def told(world: World, reason: str) -> str:
    """The text of the only event of that reason."""
    (event,) = [one for one in world.server.objects(EVENTS, "research") if one["reason"] == reason]
    assert event.get("series", {"count": 1})["count"] < 10, "told again and again"
    return str(event["note"])


@pytest.mark.parametrize("error", ANSWERS, ids=lambda one: str(one.status))
def test_a_pod_that_is_refused(error: ApiError) -> None:
    async def play(world: World) -> None:
        refuse(world, calls("create", PODS), error)
        world.apply(a_job_manifest())
        await world.clock.sleep(1800)
        said = world.condition("Succeeded")
        assert said["reason"] == "PodsRefused"
        assert error.message in said["message"]
        assert error.message in told(world, "PodsRefused")
        mend(world)
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"

    in_a_world(play)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda one: str(one.status))
@pytest.mark.parametrize("verb", ["patch", "delete"])
def test_a_write_to_a_pod_that_is_refused(verb: str, error: ApiError) -> None:
    """Where pods may not be annotated a suspended job ends all the same."""

    async def play(world: World) -> None:
        world.plan.steps = 800
        refuse(world, calls(verb, PODS), error)
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        world.edit(suspend=True)
        await world.clock.sleep(300)
        assert bool(world.pods()) is (verb == "delete")
        note = told(world, "WritesRefused")
        assert error.message in note
        if verb == "delete":
            said = world.condition("Succeeded")
            assert said["reason"] == "WritesRefused"
            assert "delete pod digits-1-0" in said["message"]
        mend(world)
        await world.until(lambda: not world.pods(), "end of the pod", limit=120)
        world.edit(suspend=False)
        await world.until_finished(limit=2000)
        assert world.condition("Succeeded")["reason"] == "Completed"

    in_a_world(play)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda one: str(one.status))
def test_a_finalizer_that_is_refused(error: ApiError) -> None:
    async def play(world: World) -> None:
        refuse(world, calls("patch", JOBS), error)
        world.apply(a_job_manifest(checkpoint=HOLDS))
        await world.clock.sleep(300)
        assert world.pods() == [], "nothing may be stored that nobody would delete"
        note = told(world, "WritesRefused")
        assert names.FINALIZER in note
        assert error.message in note
        mend(world)
        await world.until_finished()

    in_a_world(play)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda one: str(one.status))
def test_a_finalizer_that_is_refused_holds_up_no_job_at_work(error: ApiError) -> None:
    """The deletion policy may be changed at any time; the job is suspended and goes on without."""

    async def play(world: World) -> None:
        world.plan.steps = 200
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        refuse(world, calls("patch", JOBS), error)
        world.edit(checkpoint=HOLDS)
        await world.clock.sleep(60)
        world.edit(suspend=True)
        await world.until(lambda: not world.pods_named("digits-1-0", "Running"), "end", limit=200)
        world.edit(suspend=False)
        await world.until(lambda: world.attempt() == 2, "attempt 2")
        assert names.FINALIZER in told(world, "WritesRefused")
        mend(world)
        await world.until_finished()
        assert world.job()["metadata"]["finalizers"] == [names.FINALIZER]

    in_a_world(play)


def test_figures_are_written_while_pods_cannot_be_annotated() -> None:
    async def play(world: World) -> None:
        world.plan.steps = 5_000
        refuse(world, calls("patch", PODS), DENIED)
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 100, "step 100")
        await world.clock.sleep(90)
        assert world.step() - world.status()["progress"]["step"] < 200
        seen = world.status()["progress"]["step"]
        await world.clock.sleep(90)
        assert world.status()["progress"]["step"] > seen

    in_a_world(play)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda one: str(one.status))
def test_a_status_that_is_refused(error: ApiError) -> None:
    async def play(world: World) -> None:
        refuse(world, lambda call: call.subresource == "status", error)
        world.apply(a_job_manifest())
        await world.clock.sleep(300)
        assert world.pods() == []
        if error is not MISSING:
            # To a 404 of the job itself there is nobody left to tell.
            assert error.message in told(world, "WritesRefused")
        mend(world)
        await world.until_finished()

    in_a_world(play)


def test_one_404_does_not_end_a_job_without_a_word() -> None:
    async def play(world: World) -> None:
        answers = [1]

        def webhook(old: Any, _new: Any) -> list[str]:
            if old is None and answers:
                answers.pop()
                raise MISSING
            return []

        world.server.admission[PODS] = [webhook]
        world.apply(a_job_manifest())
        await world.until_finished()

    in_a_world(play)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda one: str(one.status))
def test_checkpoints_are_not_given_up_for_a_refusal_that_passes(error: ApiError) -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest(checkpoint=HOLDS))
        await world.until(lambda: world.step() >= 25, "a checkpoint")
        lineage = world.lineage()
        refuse(world, calls("create", PODS), error)
        world.delete()
        await world.clock.sleep(500)
        assert error.message in told(world, "PodsRefused")
        mend(world)
        await world.until(lambda: not world.exists(), "end of the job", limit=300)
        assert lineage.commits == []
        assert "CheckpointsLeft" not in world.events()

    in_a_world(play)


def test_a_namespace_that_goes_is_said_and_asked_for_again() -> None:
    async def play(world: World) -> None:
        refuse(world, calls("create", PODS), NamespaceTerminating("it is being terminated"))
        world.apply(a_job_manifest())
        await world.clock.sleep(300)
        assert world.condition("Succeeded")["reason"] == "NamespaceTerminating"
        before = world.job()["metadata"]["resourceVersion"]
        await world.clock.sleep(600)
        assert world.job()["metadata"]["resourceVersion"] == before, "written without news"
        assert "it" in told(world, "NamespaceTerminating")
        mend(world)
        await world.until_finished(limit=200)

    in_a_world(play)
