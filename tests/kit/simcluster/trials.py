"""One seed: a job, a few mishaps at random instants, then peace, in which it must finish.

`ride` plays it; what it returns says what was done and which promise was broken, if any.
"""

import random
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import (
    expect_each_ending_charged_once,
    expect_every_second_accounted,
    expect_exact_result,
    expect_no_pods_left,
    expect_no_storm_of_requests,
    expect_one_attempt_at_a_time,
)
from kit.simcluster.mishaps import LONGEST, MISHAPS, Mishap, put_right
from kit.simcluster.replicas import Replica
from kit.simcluster.stories import settle_down
from kit.simcluster.world import World

__all__ = ["Trial", "ride"]

Json = dict[str, Any]

PEACE: Final = 4 * 3600.0
"""Seconds in which a job must finish once nothing goes wrong any more: waits and patience pass."""
POLICY: Final = {
    "interruptions": {"max": 400},
    "failures": {"max": 3},
    "maxAttemptsWithoutProgress": 100,
    "backoff": {"jitter": "None", "max": "60s"},
    "unreachable": {"after": "40s"},
}
"""Generous with interruptions and not with failures, of which no mishap may be one."""


@dataclass(slots=True)
class Trial:
    """What became of a seed."""

    seed: int
    done: list[str] = field(default_factory=list)
    """What went wrong, with the second at which it began."""
    kinds: list[str] = field(default_factory=list)
    """The names of the same in the table of mishaps."""
    endings: list[str] = field(default_factory=list)
    broken: str = ""
    """The promise that was broken, with the state of the world; empty: none."""


def ride(seed: int, mishaps: tuple[Mishap, ...] = MISHAPS) -> Trial:
    """Play the seed; never raises for what the operator did."""
    trial = Trial(seed)

    async def scenario(clock: FakeClock) -> None:
        chance = random.Random(seed)
        replicas = chance.choice((1, 2))
        world = await World.make(clock, seed=seed, replicas=replicas, policy=POLICY)
        if seed % 2:
            # As no real server does: each leader has its machine's wall clock alone.
            for replica in world.replicas.all:
                replica.on_start = _undate
        try:
            await _play(world, chance, trial, mishaps)
        except AssertionError as error:
            trial.broken = f"{error}\n{world.story()}"
        trial.endings = [str(one.get("ending")) for one in _attempts(world)]

    try:
        in_fake_time(scenario)
    except Exception:  # noqa: BLE001 - a program that died is a broken promise like any other
        trial.broken = trial.broken or traceback.format_exc()
    return trial


def _undate(replica: Replica) -> None:
    replica.process.client.faults.undated = True


async def _play(world: World, chance: Random, trial: Trial, mishaps: tuple[Mishap, ...]) -> None:
    world.plan.steps = chance.choice((60, 150, 400))
    world.apply(a_job_manifest())
    for _ in range(chance.randint(1, 8)):
        await world.clock.sleep(chance.choice((0.3, 3.0, 20.0, 60.0)) * chance.uniform(0.2, 1.0))
        mishap = chance.choice(mishaps)
        said = mishap(world, chance)
        if said is not None:
            trial.kinds.append(mishap.__name__)
            trial.done.append(f"{world.clock.monotonic():.1f} s: {said}")
    await world.clock.sleep(LONGEST + 1)
    put_right(world)
    await world.until_finished(limit=PEACE)
    await settle_down(world)
    for wrong in _broken(world):
        raise AssertionError(wrong)
    _expect_invariants(world)


def _broken(world: World) -> Iterator[str]:
    """Promises that a mishap of the platform's, or of people, may not break."""
    verdict = world.condition("Succeeded")
    if verdict["status"] != "True":
        yield f"the job did not complete: {verdict['reason']}: {verdict['message']}"
    failures = [one for one in _attempts(world) if one.get("charged") == "Failure"]
    if failures:
        yield f"a failure was charged: {failures[0]}"


def _expect_invariants(world: World) -> None:
    for replica in world.replicas.all:
        assert not replica.faults, replica.faults
    for node in world.nodes.values():
        assert not node.faults(), node.faults()
    expect_one_attempt_at_a_time(world)
    if world.status()["attempt"] <= len(_attempts(world)):
        expect_each_ending_charged_once(world)
    expect_every_second_accounted(world)
    expect_no_pods_left(world)
    expect_exact_result(world)
    expect_no_storm_of_requests(world)


def _attempts(world: World) -> list[Json]:
    attempts: list[Json] = world.status().get("attempts", [])
    return attempts
