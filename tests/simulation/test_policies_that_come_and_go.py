"""Policies are replaced and removed while nodes go: no job ends by the limits of another one."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.stories import settle_down
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.control.resource import PODS
from spot_operator.reconcile.kinds import POLICIES

Json = dict[str, Any]

NONE_ALLOWED = {"interruptions": {"max": 0}, "failures": {"max": 0}}
"""Ends a job at the first ending that it charges."""


def in_a_world(play: Callable[[World], Awaitable[None]]) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, replicas=1)
        for policy in list(world.server.objects(POLICIES)):
            world.server.delete(POLICIES, policy["metadata"]["name"])
        world.plan.steps = 300
        await play(world)
        await settle_down(world)
        expect_invariants(world)

    in_fake_time(scenario)


def a_policy(name: str, **spec: Any) -> Json:
    kind = {"apiVersion": names.API_VERSION, "kind": names.POLICY_KIND}
    return {**kind, "metadata": {"name": name}, "spec": spec}


async def interrupted_without(world: World, policy: str, seconds: float) -> None:
    """The policy is away for so long; in its absence somebody deletes the pod."""
    await world.until(lambda: world.step() >= 20, "step 20")
    kept = next(one for one in world.server.objects(POLICIES) if one["metadata"]["name"] == policy)
    world.server.delete(POLICIES, policy)
    await world.clock.sleep(1)
    world.server.delete(PODS, "digits-1-0", namespace="research")
    await world.clock.sleep(seconds)
    world.server.create(POLICIES, a_policy(policy, **kept["spec"]))


@pytest.mark.parametrize("seconds", [1.0, 30.0, 300.0])
def test_a_default_policy_that_is_replaced(seconds: float) -> None:
    async def play(world: World) -> None:
        world.server.create(POLICIES, a_policy("standard", default=True))
        world.apply(a_job_manifest())
        await interrupted_without(world, "standard", seconds)
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"
        assert world.status()["policy"] == {"name": "standard", "claim": "Default"}

    in_a_world(play)


@pytest.mark.parametrize("seconds", [1.0, 300.0])
def test_a_named_policy_that_is_missing_beside_a_strict_default(seconds: float) -> None:
    async def play(world: World) -> None:
        world.server.create(POLICIES, a_policy("standard", default=True, **NONE_ALLOWED))
        world.server.create(POLICIES, a_policy("gold", allowedNamespaces=["*"]))
        world.apply(a_job_manifest(policyName="gold"))
        await interrupted_without(world, "gold", seconds)
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"
        assert next(charged for *_, charged in outcome(world)["endings"]) == "Interruption"

    in_a_world(play)


def test_a_default_policy_that_stays_away_gives_way_after_ten_minutes() -> None:
    async def play(world: World) -> None:
        world.server.create(POLICIES, a_policy("standard", default=True, **NONE_ALLOWED))
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 20, "step 20")
        world.server.delete(POLICIES, "standard")
        world.server.delete(PODS, "digits-1-0", namespace="research")
        await world.clock.sleep(590)
        assert world.condition("Succeeded")["reason"] == "PolicyGone"
        assert world.status()["attempt"] == 1
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"
        assert world.status()["policy"] == {"name": "built-in", "claim": "None"}

    in_a_world(play)
