"""Before the operator goes, the jobs that wait for it are let go; their checkpoints stay."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeClient, Process, calls, fail
from kit.jobs import a_job_manifest
from kit.simcluster.replicas import NAMESPACE
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.api.events import Event
from spot_operator.control.errors import Forbidden, NotFound
from spot_operator.control.resource import DEPLOYMENTS, LEASES
from spot_operator.control.watch_claim import ANNOTATION_STATE, ANNOTATION_WATCHES, LABEL
from spot_operator.reconcile.kinds import JOBS
from spot_operator.uninstall import Release, Stopped, Uninstall

DEPLOYMENT = "spot-training-operator"
STORE = {"s3": {"bucket": "checkpoints"}}
HELD: dict[str, Any] = {"checkpoint": {"store": STORE, "deletionPolicy": "Delete"}}
SECONDS = 120.0


def the_release(**different: Any) -> Release:
    usual = {
        "namespace": NAMESPACE,
        "deployment": DEPLOYMENT,
        "replicas": 2,
        "claims_namespace": "kube-system",
        "watches": (),
        "seconds": SECONDS,
    }
    return Release(**{**usual, **different})


async def deployment(world: World) -> None:
    """The Deployment's controller: as many replicas as its scale says."""
    while True:
        wanted = replicas(world)
        for number, replica in enumerate(world.replicas.all):
            if replica.wanted and number >= wanted and replica.life is not None:
                replica.end_gracefully()
            replica.wanted = number < wanted
        await world.clock.sleep(0.5)


def replicas(world: World) -> int:
    return int(world.server.get(DEPLOYMENTS, DEPLOYMENT, NAMESPACE)["spec"]["replicas"])


def in_a_world(play: Callable[[World], Awaitable[None]]) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, replicas=2)
        meta = {"name": DEPLOYMENT, "namespace": NAMESPACE}
        world.server.create(DEPLOYMENTS, {"metadata": meta, "spec": {"replicas": 2}})
        controller = asyncio.get_running_loop().create_task(deployment(world))
        world.plan.steps = 400
        await world.until(lambda: world.replicas.leader() is not None, "leader", limit=60)
        await play(world)
        controller.cancel()

    in_fake_time(scenario)


def finalizers(world: World, name: str) -> list[str]:
    return world.job(name)["metadata"].get("finalizers") or []


async def held(world: World, *jobs: str) -> None:
    """Create the jobs and wait until they are held."""
    for name in jobs:
        world.apply(a_job_manifest(name, **HELD))
    await world.until(
        lambda: all(names.FINALIZER in finalizers(world, name) for name in jobs), "hold"
    )


def uninstall(world: World, **different: Any) -> Uninstall:
    client = FakeClient(world.server, name="uninstall", clock=world.clock)
    return Uninstall(client, world.clock, FakeEntropy("uninstall"), the_release(**different))


def test_jobs_are_let_go_and_keep_their_checkpoints() -> None:
    async def play(world: World) -> None:
        await held(world, "digits", "other")
        world.apply(a_job_manifest("plain"))
        foreign = {"metadata": {"finalizers": ["example.com/theirs", names.FINALIZER]}}
        world.server.patch(JOBS, "other", foreign, namespace="research")
        await world.until(lambda: world.step() >= 12, "step 12")
        began = world.clock.monotonic()
        run = uninstall(world)
        await run.run()
        assert world.clock.monotonic() - began < 60
        assert sorted(run.let_go) == ["research/digits", "research/other"]
        assert finalizers(world, "digits") == []
        assert finalizers(world, "other") == ["example.com/theirs"]
        assert replicas(world) == 0
        assert world.events().count(Event.RELEASED) == 2
        claim = world.server.get(LEASES, f"spot-training.{NAMESPACE}.{DEPLOYMENT}", "kube-system")
        assert claim["spec"]["holderIdentity"] == "", "another release may take over at once"
        await world.clock.sleep(60)
        assert finalizers(world, "digits") == [], "nobody is there to put it back"
        world.delete("digits")
        assert not world.exists("digits")
        assert world.purges == []

    in_a_world(play)


def test_a_deletion_under_way_is_waited_for() -> None:
    async def play(world: World) -> None:
        await held(world, "digits")
        await world.until(lambda: world.step() >= 12, "step 12")
        world.delete("digits")
        await uninstall(world).run()
        assert not world.exists("digits")
        assert len(world.purges) == 1, "its checkpoints were deleted, as was asked for"

    in_a_world(play)


def test_one_that_lasts_is_not_waited_for_without_end() -> None:
    async def play(world: World) -> None:
        await held(world, "digits")
        await world.until(lambda: world.step() >= 12, "step 12")
        world.purges_fail = 99
        world.delete("digits")
        began = world.clock.monotonic()
        run = uninstall(world)
        await run.run()
        assert world.clock.monotonic() - began <= SECONDS
        assert run.let_go == ["research/digits"]
        assert not world.exists("digits")

    in_a_world(play)


def test_an_operator_that_is_installed_again_holds_them_again() -> None:
    async def play(world: World) -> None:
        await held(world, "digits")
        await uninstall(world).run()
        scale = {"spec": {"replicas": 2}}
        world.server.patch(DEPLOYMENTS, DEPLOYMENT, scale, namespace=NAMESPACE)
        await world.until(lambda: names.FINALIZER in finalizers(world, "digits"), "hold")

    in_a_world(play)


def test_a_release_that_was_refused_lets_no_job_of_the_other_go() -> None:
    async def play(world: World) -> None:
        await held(world, "digits")
        run = uninstall(world, namespace="default", deployment="late")
        await run.run()
        assert run.let_go == []
        assert names.FINALIZER in finalizers(world, "digits")
        assert replicas(world) == 2

    in_a_world(play)


def left_behind(world: World) -> None:
    """The claim of a release whose namespace was deleted: its ClusterRole stays, and so does it."""
    notes = {ANNOTATION_WATCHES: "*", ANNOTATION_STATE: "Held"}
    meta = {"name": "spot-training.gone.spot", "namespace": "kube-system", "annotations": notes}
    claim = {
        "holderIdentity": "gone/spot",
        "leaseDurationSeconds": 60,
        "renewTime": "2025-01-01T00:00:00.000000Z",
    }
    world.server.create(LEASES, {"metadata": {**meta, "labels": {LABEL: "true"}}, "spec": claim})


def test_a_claim_that_a_release_left_behind_keeps_no_job() -> None:
    async def play(world: World) -> None:
        left_behind(world)
        await held(world, "digits")
        began = world.clock.monotonic()
        run = uninstall(world)
        await run.run()
        assert world.clock.monotonic() - began < 60
        assert run.let_go == ["research/digits"]
        assert replicas(world) == 0

    in_a_world(play)


def test_nor_where_the_operator_ended_before() -> None:
    async def play(world: World) -> None:
        left_behind(world)
        await held(world, "digits")
        world.server.patch(DEPLOYMENTS, DEPLOYMENT, {"spec": {"replicas": 0}}, namespace=NAMESPACE)
        await world.until(lambda: world.replicas.leader() is None, "end", limit=60)
        run = uninstall(world)
        await run.run()
        assert run.let_go == ["research/digits"]

    in_a_world(play)


def test_without_the_crd_there_is_nothing_to_let_go() -> None:
    async def play(world: World) -> None:
        run = uninstall(world)
        run._reader = Process("without", world.server).client
        run._reader.faults.on(calls("list", JOBS), before=fail(NotFound("no such kind")))
        await run.run()
        assert run.let_go == []

    in_a_world(play)


@pytest.mark.parametrize("verb", ["list", "patch"])
def test_when_it_cannot_be_done_the_operator_runs_on(verb: str) -> None:
    async def play(world: World) -> None:
        await held(world, "digits")
        run = uninstall(world)
        faults = run._reader.faults  # type: ignore[attr-defined]
        faults.on(calls(verb, JOBS), before=fail(Forbidden("no")))
        with pytest.raises((Stopped, Forbidden)):
            await run.run()
        assert replicas(world) == 2
        assert names.FINALIZER in finalizers(world, "digits")

    in_a_world(play)


def test_an_operator_that_does_not_end_is_not_fought() -> None:
    async def play(world: World) -> None:
        await held(world, "digits")
        run = uninstall(world)
        world.replicas.all[0].end_gracefully = lambda: None  # type: ignore[method-assign]
        world.replicas.all[1].end_gracefully = lambda: None  # type: ignore[method-assign]
        with pytest.raises(Stopped, match="--no-hooks"):
            await run.run()
        assert replicas(world) == 2

    in_a_world(play)
