"""Trainers that crash, refuse, hang or give up early; users who suspend and delete."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.stories import script, settle_down
from kit.simcluster.world import World
from spot_operator.control.errors import Forbidden, Invalid
from spot_operator.control.resource import PODS
from spot_operator.reconcile.kinds import JOBS


def in_a_world(play: Callable[[World], Awaitable[None]], **make: Any) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, **make)
        await play(world)

    in_fake_time(scenario)


def endings(world: World) -> list[str]:
    return [ending for _, ending, _ in outcome(world)["endings"]]


async def to_the_end(world: World, **spec: Any) -> None:
    world.apply(a_job_manifest(**spec))
    await world.until_finished()
    await settle_down(world)
    expect_invariants(world)


def test_a_trainer_that_always_crashes_uses_up_its_budget_with_growing_waits() -> None:
    async def play(world: World) -> None:
        world.plan.crashes = dict.fromkeys(range(1, 20), 0)
        await to_the_end(world)
        assert endings(world) == ["TrainerFailed"] * 4
        assert world.condition("Succeeded")["status"] == "False"
        starts = [seconds_of(one["createdAt"]) for one in world.status()["attempts"]]
        ends = [seconds_of(one["endedAt"]) for one in world.status()["attempts"]]
        waits = [start - end for end, start in zip(ends, starts[1:], strict=False)]
        assert [round(wait) for wait in waits] == [10, 20, 40]
        kept = [pod["metadata"]["name"] for pod in world.pods()]
        assert kept == [f"digits-{number}-0" for number in (1, 2, 3, 4)], "for kubectl logs"

    in_a_world(play)


def test_a_trainer_without_memory_fails_where_its_runtime_does_not_say_so() -> None:
    async def play(world: World) -> None:
        world.plan.starved = {1: 12, 2: 25}
        await to_the_end(world)
        first, second, _ = world.status()["attempts"]
        assert endings(world) == ["OutOfMemory", "OutOfMemory", "Completed"]
        assert (first["charged"], second["charged"]) == ("Failure", "Failure")
        assert "limit 96Mi, memory.events: oom 1, oom_kill 1" in first["message"]

    in_a_world(play)


def test_a_trainer_that_never_has_enough_memory_ends_its_job() -> None:
    async def play(world: World) -> None:
        world.plan.starved = dict.fromkeys(range(1, 20), 0)
        await to_the_end(world)
        assert endings(world) == ["OutOfMemory"] * 4
        assert world.condition("Succeeded")["status"] == "False"
        assert "raise its memory limit" in world.condition("Succeeded")["message"]

    in_a_world(play)


def test_a_registry_that_is_down_for_an_hour_costs_a_trained_job_time_alone() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        for node in world.nodes.values():
            node.pull_error = "dial tcp: lookup registry: i/o timeout"
        world.node_of(1).remove()
        await world.until(
            lambda: world.condition("Succeeded").get("reason") == "RegistryTrouble", "a word of it"
        )
        assert "a registry is at fault" in world.condition("Succeeded")["message"]
        await world.clock.sleep(3600)
        assert world.condition("Succeeded")["status"] == "Unknown"
        for node in world.nodes.values():
            node.pull_error = None
        await world.until_finished()
        await settle_down(world)
        expect_invariants(world)
        ended = endings(world)
        assert ended[0] == "Preempted"
        assert set(ended[1:-1]) == {"PlatformTrouble"}
        assert ended[-1] == "Completed"
        assert world.status()["budgets"]["failures"]["used"] == 0
        assert world.status()["budgets"]["interruptions"]["used"] == 1
        assert len(ended) < 10
        assert "PlatformTrouble" in world.events()

    in_a_world(play, policy={"failures": {"max": 0}})


def seconds_of(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def test_failures_with_progress_between_them_are_forgiven() -> None:
    async def play(world: World) -> None:
        world.plan.crashes = {1: 11, 2: 21, 3: 31, 4: 41, 5: 51}
        await to_the_end(world)
        assert endings(world) == ["TrainerFailed"] * 5 + ["Completed"]

    in_a_world(play)


def origins(world: World) -> list[int | None]:
    """The steps that the attempts resumed from."""
    found = [one.get("resumedFrom") for one in world.status()["attempts"]]
    return [one["step"] if one else None for one in found]


def test_from_a_state_that_cannot_go_on_the_one_before_is_tried() -> None:
    """It verifies, byte for byte, and holds NaN: two failures make it suspect."""

    async def play(world: World) -> None:
        world.plan.crashes = {1: 31}
        world.plan.poisoned = frozenset({(1, 30)})
        await to_the_end(world)
        assert endings(world) == ["TrainerFailed"] * 3 + ["Completed"]
        assert origins(world) == [None, 30, 30, 20]
        assert [one.model.step for one in world.lineage().commits if one.attempt == 1] == [
            10, 20, 30,
        ], "a suspect is never deleted"  # fmt: skip

    in_a_world(play)


def test_after_two_suspects_the_cause_is_not_a_checkpoint() -> None:
    async def play(world: World) -> None:
        world.plan.crashes = {1: 41}
        world.plan.poisoned = frozenset({(1, 40), (1, 30), (1, 20)})
        await to_the_end(world)
        assert origins(world) == [None, 40, 40, 30, 30, 20, 20]
        assert world.condition("Succeeded")["reason"] == "CheckpointsSuspect"

    in_a_world(play, policy={"failures": {"max": 100}})


def test_a_trainer_that_refuses_is_believed_at_once() -> None:
    async def play(world: World) -> None:
        world.plan.refuses = True
        await to_the_end(world)
        assert endings(world) == ["TrainerRefused"]
        assert "the data set is empty" in world.condition("Succeeded")["message"]

    in_a_world(play)


def test_exit_code_0_without_the_marker_is_no_success() -> None:
    async def play(world: World) -> None:
        world.plan.exits_early = {1: 15}
        await to_the_end(world)
        assert endings(world) == ["TrainerFailed", "Completed"]

    in_a_world(play)


def test_a_trainer_that_hangs_is_ended_and_goes_on_elsewhere() -> None:
    async def play(world: World) -> None:
        world.plan.hangs = {1: 15}
        await to_the_end(world, stallTimeout="60s")
        assert endings(world) == ["Stalled", "Completed"]

    in_a_world(play)


def test_the_interruption_budget_ends_a_job() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        for attempt in (1, 2):
            await lose_the_node_of(world, attempt)
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "InterruptionsExhausted"
        expect_invariants(world)

    in_a_world(play, policy={"interruptions": {"max": 1}})


async def lose_the_node_of(world: World, attempt: int) -> None:
    """With a notice, once that attempt trains; the node comes back."""
    await world.until(lambda: world.attempt() == attempt, f"attempt {attempt}")
    node = world.node_of(attempt)
    world.announce_end(node, 15.0)
    await world.until(lambda: not node.powered, "power cut")
    node.power_on()


def test_a_suspended_job_keeps_its_state_and_pays_nothing() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 15, "step 15")
        world.edit(suspend=True)
        await world.until(lambda: not world.pods(), "end of the pods")
        await world.until(
            lambda: world.condition("Suspended").get("status") == "True", "condition Suspended"
        )
        done = world.step()
        await world.clock.sleep(300)
        assert world.step() == done
        world.edit(suspend=False)
        await world.until_finished()
        await settle_down(world)
        expect_invariants(world)
        assert endings(world) == ["Suspended", "Completed"]
        assert world.status()["budgets"]["interruptions"]["used"] == 0
        assert world.status()["totals"]["replayedSteps"] == 0
        assert world.status()["time"]["buckets"]["suspended"] >= 290

    in_a_world(play)


def test_a_deleted_job_leaves_nothing_even_on_a_dead_node() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 15, "step 15")
        world.node_of(1).power_cut()
        world.delete()
        await world.until(lambda: not world.pods(), "end of the pods", limit=400)
        assert world.server.objects(JOBS) == []
        assert not world.replicas.all[0].faults

    in_a_world(play)


def test_a_lost_bucket_is_not_a_beginning() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 25, "step 25")
        world.node_of(1).power_cut()
        world.lineage().commits.clear()
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "NoValidCheckpoint"
        assert world.attempt() == 1
        expect_invariants(world)

    in_a_world(play)


def test_somebody_deletes_the_pod_and_nothing_is_lost() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 15, "step 15")
        world.server.delete(PODS, "digits-1-0", namespace="research")
        await world.until_finished()
        await settle_down(world)
        expect_invariants(world)
        assert endings(world)[-1] == "Completed"
        assert outcome(world)["interruptions"] == 1
        assert world.status()["totals"]["replayedSteps"] == 0

    in_a_world(play)


def test_a_quota_makes_the_job_wait_and_say_so() -> None:
    async def play(world: World) -> None:
        open_for_business = False

        def quota(old: object, new: object) -> list[str]:
            if old is None and not open_for_business:
                raise Forbidden("exceeded quota: team, requested: pods=1, used: pods=9")
            return []

        world.server.admission[PODS] = [quota]
        world.apply(a_job_manifest())
        await world.until(
            lambda: world.condition("Succeeded").get("reason") == "PodsRefused", "a word of it"
        )
        assert "exceeded quota" in world.condition("Succeeded")["message"]
        await world.clock.sleep(300)
        creates = world.replicas.all[0].process.client._writes
        open_for_business = True
        await world.until_finished()
        await settle_down(world)
        expect_invariants(world)
        assert endings(world) == ["Completed"]
        assert creates < 300, "refused again and again, ever more slowly"

    in_a_world(play)


def test_a_template_the_server_refuses_is_a_failure_that_says_why() -> None:
    async def play(world: World) -> None:
        def refuse(old: object, new: object) -> list[str]:
            if old is None:
                raise Invalid("spec.containers[0].image: Required value")
            return []

        world.server.admission[PODS] = [refuse]
        world.apply(a_job_manifest())
        await world.until_finished()
        assert set(endings(world)) == {"StartFailed"}
        assert "spec.containers[0].image" in world.condition("Succeeded")["message"]

    in_a_world(play)


def test_a_name_taken_by_somebody_else_costs_a_number_and_nothing_more() -> None:
    async def play(world: World) -> None:
        foreign = {
            "metadata": {"name": "digits-1-0", "namespace": "research"},
            "spec": {"containers": [{"name": "x", "image": "y"}], "nodeName": "elsewhere"},
        }
        world.server.create(PODS, foreign)
        world.apply(a_job_manifest())
        await world.until_finished()
        assert endings(world)[-1] == "Completed"
        assert world.status()["budgets"]["failures"]["used"] == 0
        assert [pod["metadata"]["name"] for pod in world.pods()] == ["digits-1-0"]

    in_a_world(play)


def test_a_script_is_started_with_what_the_store_has_and_stopped_in_time_to_save() -> None:
    async def play(world: World) -> None:
        await script(world)
        expect_invariants(world)
        assert endings(world) == ["NodeLost", "Regranted", "Preempted", "Completed"]
        assert [one[2] for one in outcome(world)["endings"]][1] is None, "nobody is to blame"
        assert steps_of(world, 3)[0] == 11, "from the checkpoint the operator had not heard of"
        assert steps_of(world, 4)[0] == steps_of(world, 3)[-1] + 1, "nothing twice after a notice"

    in_a_world(play)


def steps_of(world: World, attempt: int) -> list[int]:
    return [step for _, made_by, step in world.steps if made_by == attempt]


def test_at_rest_nothing_is_written() -> None:
    async def play(world: World) -> None:
        await to_the_end(world)
        leader = world.replicas.leader()
        assert leader is not None
        await world.clock.sleep(30)
        version = world.job()["metadata"]["resourceVersion"]
        await world.clock.sleep(900)
        assert world.job()["metadata"]["resourceVersion"] == version

    in_a_world(play)
