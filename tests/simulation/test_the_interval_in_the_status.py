"""The interval, its inputs and the bound on lost work, as a user follows them through a job's life.

The sidecar's own code decides in these trainers; the saves cost what the plan says.
"""

from typing import Any

from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants
from kit.simcluster.stories import settle_down
from kit.simcluster.world import World

STORE = {"s3": {"bucket": "checkpoints"}}


def play(story: Any) -> None:
    async def scenario(clock: FakeClock) -> None:
        await story(await World.make(clock))

    in_fake_time(scenario)


def interval(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.status().get("checkpoint", {}).get("interval", {})
    return found


async def to_the_end(world: World) -> None:
    await world.until_finished()
    await settle_down(world)
    expect_invariants(world)


def test_the_interval_shows_what_it_follows_from_and_outlives_the_attempt() -> None:
    async def story(world: World) -> None:
        world.apply(a_job_manifest(checkpoint={"store": STORE, "maxLostWork": "60s"}))
        await world.until(lambda: interval(world) != {}, "interval")
        assert (interval(world)["why"], interval(world)["seconds"]) == ("NotMeasured", 30.0)
        assert world.condition("LossBoundFeasible")["reason"] == "NotMeasured"
        await world.until(lambda: "saves" in interval(world)["inputs"], "a measured save")
        shown = interval(world)
        assert shown["why"] == "MaxLostWork"
        assert shown["seconds"] == 60.0 - 0.1 - 2.0
        assert shown["inputs"]["commitLatencySeconds"] == 2.0
        assert 0.03 < shown["inputs"]["interruptionsPerHour"] <= 1 / 24
        assert shown["bounds"]["maxLostWork"] == 60.0
        assert world.condition("LossBoundFeasible")["status"] == "True"
        world.announce_end(world.node_of(1), 20.0)
        await world.until(lambda: world.attempt() == 2, "attempt 2")
        assert interval(world)["inputs"]["commitLatencySeconds"] == 2.0
        assert interval(world)["inputs"]["interruptionsPerHour"] > 0.07
        await to_the_end(world)
        first, second = world.status()["attempts"]
        assert first["loss"] == "Saved"
        assert "loss" not in second
        assert world.events().count("LossBoundKept") == 1

    play(story)


def test_a_power_cut_is_a_loss_and_the_silence_is_drain() -> None:
    async def story(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 25, "step 25")
        world.node_of(1).power_cut()
        await to_the_end(world)
        assert world.status()["attempts"][0]["ending"] == "NodeLost"
        assert world.status()["attempts"][0]["loss"] == "Lost"
        assert world.status()["time"]["buckets"]["drain"] > 30.0
        assert world.condition("LossBoundFeasible")["reason"] == "NoBoundAsked"

    play(story)


def test_a_bound_that_cannot_be_kept_is_said_with_its_numbers() -> None:
    async def story(world: World) -> None:
        world.plan.latency = 12.0
        world.apply(a_job_manifest(checkpoint={"store": STORE, "maxLostWork": "20s"}))
        await world.until(
            lambda: world.condition("LossBoundFeasible").get("status") == "False", "the verdict"
        )
        said = world.condition("LossBoundFeasible")["message"]
        assert "a loss without warning can cost 25 s of work" in said
        assert "set maxLostWork to at least 25 s" in said
        assert interval(world)["seconds"] == 12.0
        await to_the_end(world)
        assert world.events().count("LossBoundExceeded") == 1

    play(story)
