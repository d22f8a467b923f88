"""What must hold of a world at its end, whatever happened on the way."""

from datetime import datetime, timedelta
from typing import Any, Final

from kit.simcluster.store import Model
from kit.simcluster.world import World

__all__ = ["expect_invariants", "outcome"]

Json = dict[str, Any]

MOST_A_MINUTE: Final = 120
"""Requests of one verb and resource, of all replicas; a leader renews its lease 30 times."""


def outcome(world: World) -> Json:
    """The end of a world in which one job ran, without times, nodes and uids."""
    status = world.status()
    return {
        "state": status["state"],
        "succeeded": world.condition("Succeeded")["reason"],
        "endings": [
            (one["number"], one.get("ending"), one.get("charged")) for one in status["attempts"]
        ],
        "interruptions": status["budgets"]["interruptions"]["used"],
        "failures": status["budgets"]["failures"]["used"],
        "result": [model.weights for model in world.lineage().complete.values()],
        "claims": sorted(world.lineage().claims),
        "pods": [pod["metadata"]["name"] for pod in world.pods()],
    }


def expect_invariants(world: World, *, late_post: bool = False) -> None:
    """I1, I3, I4, I7, I8 as far as the world shows them, and that no program failed.

    `late_post`: a request of a former leader arrived minutes late, and may have made a pod of an
    attempt that was over; the other invariants say that it did no harm.
    """
    for replica in world.replicas.all:
        assert not replica.faults, replica.faults
    expect_one_attempt_at_a_time(world)
    if not late_post:
        expect_each_pod_created_once(world)
    expect_each_ending_charged_once(world)
    expect_every_second_accounted(world)
    expect_no_pods_left(world)
    expect_exact_result(world)
    expect_no_storm_of_requests(world)


def expect_no_storm_of_requests(world: World) -> None:
    """Whatever is refused, nobody asks the API server again and again without a pause."""
    most, asked = max(((n, what) for what, n in world.server.traffic.items()), default=(0, None))
    assert most <= MOST_A_MINUTE, f"{most} requests: {asked}"


def expect_one_attempt_at_a_time(world: World) -> None:
    """Once an attempt has made a step, none before it makes another."""
    attempts = [attempt for _, attempt, _ in world.steps]
    assert attempts == sorted(attempts)


def expect_each_pod_created_once(world: World) -> None:
    """No attempt was started twice, and every attempt on record was started."""
    assert all(len(uids) == 1 for uids in world.pods_seen.values()), world.pods_seen
    attempts = range(1, world.status()["attempt"] + 1)
    assert sorted(world.pods_seen) == sorted(f"digits-{number}-0" for number in attempts)


def expect_each_ending_charged_once(world: World) -> None:
    """The budgets say what the history says."""
    status = world.status()
    charged = [one.get("charged") for one in status["attempts"]]
    assert status["budgets"]["interruptions"]["used"] == charged.count("Interruption")
    assert [one["number"] for one in status["attempts"]] == list(range(1, len(charged) + 1))


def expect_every_second_accounted(world: World) -> None:
    """The buckets add up to the time since the job was created."""
    time = world.status()["time"]
    began = datetime.fromisoformat(world.job()["metadata"]["creationTimestamp"])
    spent = timedelta(seconds=sum(time["buckets"].values()))
    assert abs(spent - (datetime.fromisoformat(time["since"]) - began)) < timedelta(seconds=1)


def expect_no_pods_left(world: World) -> None:
    """A completed job leaves no pod."""
    if world.condition("Succeeded")["status"] == "True":
        assert world.pods() == []


def expect_exact_result(world: World) -> None:
    """Whatever was lost on the way, the result is that of an undisturbed run."""
    for model in world.lineage().complete.values():
        assert model == Model().after(model.step)
