"""The CRD of the release before: Helm never upgrades it, and the API server drops new fields."""

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants
from kit.simcluster.world import World
from spot_operator.reconcile.kinds import JOBS
from spot_operator.reconcile.unkept import ASK_AGAIN


def status_writes(world: World) -> float:
    (replica,) = world.replicas.all
    assert replica.operator is not None
    counter = replica.operator.metrics.writes.labels("replace_status", JOBS.plural, "OK")
    return float(counter._value.get())


@pytest.mark.parametrize(
    "path",
    [
        "attempts[].charged",
        "stopping",
        "ranks[].node",
        "budgets",
        "ranks[].started",
        "ranks[].ended",
    ],
)
def test_a_job_waits_for_the_upgrade_and_then_goes_on(path: str) -> None:
    """The CRD is replaced by an older one while the job runs; then the right one comes back."""

    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.plan.steps = 1000
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        world.not_kept = (path,)
        (replica,) = world.replicas.all
        await replica.process.kill()
        await world.until(lambda: replica.operator is not None, "another life of the operator")
        await clock.sleep(60)
        world.node_of(1).power_cut()
        await clock.sleep(400)
        before = status_writes(world)
        await clock.sleep(600)
        assert status_writes(world) - before <= 2, "nothing new, nothing written"
        assert world.status()["attempt"] == 1
        assert list(world.pods_seen) == ["digits-1-0"]
        assert world.condition("Succeeded")["reason"] == "CRDsOutdated"
        assert (
            "kubectl apply --server-side --force-conflicts -f crds/"
            in world.condition("Succeeded")["message"]
        )
        assert "CRDsOutdated" in world.events()
        world.not_kept = ()
        await world.until(lambda: world.attempt() == 2, "attempt 2", limit=ASK_AGAIN + 120)
        world.plan.steps = 50
        await world.until_finished()
        expect_invariants(world)

    in_fake_time(scenario)


@pytest.mark.parametrize(
    "path", ["attempts", "attempts[].createdAt", "budgets.failures", "observedGeneration"]
)
def test_under_an_older_crd_a_job_does_not_begin(path: str) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.not_kept = (path,)
        world.apply(a_job_manifest())
        await clock.sleep(900)
        assert world.pods_seen == {}
        assert status_writes(world) <= 2
        world.not_kept = ()
        await world.until_finished(limit=ASK_AGAIN + 600)
        expect_invariants(world)

    in_fake_time(scenario)


def test_what_a_job_does_not_need_holds_nobody_up() -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.not_kept = ("ranks[].trouble", "purge", "suspects")
        world.apply(a_job_manifest())
        await world.until_finished()
        expect_invariants(world)

    in_fake_time(scenario)


def test_a_pod_that_cannot_be_recorded_has_no_second_beside_it() -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.not_kept = ("ranks[].uid",)
        world.apply(a_job_manifest())
        await clock.sleep(900)
        assert list(world.pods_seen) == ["digits-1-0"]
        assert status_writes(world) <= 5
        world.not_kept = ()
        await world.until_finished(limit=ASK_AGAIN + 600)
        expect_invariants(world)

    in_fake_time(scenario)


def test_figures_that_are_lost_hold_nobody_up() -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock)
        world.not_kept = ("totals", "checkpoint.interval")
        world.apply(a_job_manifest())
        await world.until_finished()
        await clock.sleep(60)
        before = status_writes(world)
        await clock.sleep(600)
        assert status_writes(world) == before
        world.not_kept = ()
        expect_invariants(world)

    in_fake_time(scenario)
