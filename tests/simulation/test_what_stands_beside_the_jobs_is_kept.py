"""The slice of the reports Service, the authority's Secret, the certificates that pods trust.

Whatever somebody does to them, the leader puts them right while it leads, and decides meanwhile.
"""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import calls, fail
from kit.jobs import a_job_manifest
from kit.simcluster.replicas import NAMESPACE
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.app import Operator
from spot_operator.control.errors import ApiError, Forbidden, Unavailable
from spot_operator.control.resource import ENDPOINTSLICES, NODES, SECRETS, TOKENREVIEWS
from spot_operator.observability.health import ready

SECRET = "spot-training-reports-ca"
SLICE = "spot-training-reports-ipv4"
BROKEN = {"ca.key": base64.b64encode(b"no key").decode(), "ca.crt": ""}


def in_a_world(play: Callable[[World], Awaitable[None]], **make: Any) -> None:
    async def scenario(clock: FakeClock) -> None:
        await play(await World.make(clock, **make))

    in_fake_time(scenario)


def the_operator(world: World) -> Operator:
    leader = world.replicas.leader()
    assert leader is not None
    assert leader.operator is not None
    return leader.operator


async def heard(world: World) -> None:
    """Return when a report of the trainer has come to stand in the status."""
    known = world.status()["progress"]["step"]
    await world.until(lambda: world.status()["progress"]["step"] > known, "report", limit=90)


async def a_job_at_work(world: World) -> None:
    world.plan.steps = 3_000
    world.apply(a_job_manifest())
    await world.until(lambda: world.step() >= 12, "step 12")
    await heard(world)


def authority(world: World, data: dict[str, str] | None) -> None:
    """Somebody replaces the Secret; None: removes it."""
    world.server.delete(SECRETS, SECRET, namespace=NAMESPACE)
    if data is not None:
        meta = {"name": SECRET, "namespace": NAMESPACE}
        world.server.create(SECRETS, {"metadata": meta, "data": data})


HARM: dict[str, Callable[[World], object]] = {
    "removed": lambda world: world.server.delete(ENDPOINTSLICES, SLICE, namespace=NAMESPACE),
    "emptied": lambda world: world.server.patch(
        ENDPOINTSLICES, SLICE, {"endpoints": []}, namespace=NAMESPACE
    ),
    "led away": lambda world: world.server.patch(
        ENDPOINTSLICES, SLICE, {"endpoints": [{"addresses": ["10.9.9.9"]}]}, namespace=NAMESPACE
    ),
    "of no service": lambda world: world.server.patch(
        ENDPOINTSLICES,
        SLICE,
        {"metadata": {"labels": {"kubernetes.io/service-name": None}}},
        namespace=NAMESPACE,
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_reports_find_the_leader_again(harm: str) -> None:
    async def play(world: World) -> None:
        await a_job_at_work(world)
        for _ in range(2):
            HARM[harm](world)
            await world.clock.sleep(11.0)
            await heard(world)

    in_a_world(play)


def test_an_authority_that_is_made_anew_reaches_the_pods_that_run() -> None:
    async def play(world: World) -> None:
        await a_job_at_work(world)
        (pod,) = world.pods()
        before = pod["metadata"]["annotations"][names.ANNOTATION_CA]
        authority(world, {})
        await world.until(lambda: trusted(world) != before, "news", limit=3700)
        assert trusted(world) == the_operator(world).tls.bundle
        await heard(world)

    def trusted(world: World) -> str:
        (pod,) = world.pods()
        return str(pod["metadata"]["annotations"][names.ANNOTATION_CA])

    in_a_world(play)


@pytest.mark.parametrize("data", [None, BROKEN], ids=["missing", "broken"])
def test_without_an_authority_jobs_are_looked_after_all_the_same(
    data: dict[str, str] | None,
) -> None:
    async def play(world: World) -> None:
        authority(world, data)
        world.plan.steps = 3_000
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12", limit=120)
        verdict = ready(the_operator(world).facts())
        assert not verdict.good
        assert "certificate" in verdict.why
        world.edit(suspend=True)
        await world.until(lambda: not world.pods(), "end of the pods", limit=120)
        world.edit(suspend=False)
        await world.until(lambda: world.attempt() == 2, "attempt 2", limit=120)
        authority(world, {}) if data is not None else restore(world)
        # The pod was made without certificates, and is told them now.
        await heard(world)
        assert ready(the_operator(world).facts()).good

    def restore(world: World) -> None:
        meta = {"name": SECRET, "namespace": NAMESPACE}
        world.server.create(SECRETS, {"metadata": meta})

    in_a_world(play)


def test_a_leader_that_cannot_be_told_anything_loses_no_node_for_silence() -> None:
    """The kubelet is cut off, the trainer goes on: its reports would say so, if we could hear."""

    async def play(world: World) -> None:
        authority(world, BROKEN)
        world.plan.steps = 3_000
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12", limit=120)
        node = world.node_of(1)
        node.cut_off = True
        await world.clock.sleep(1200)
        assert world.status()["attempt"] == 1
        assert world.status()["state"] == "Created"
        # What the node object says is evidence as ever.
        world.server.delete(NODES, node.name)
        node.power_cut()
        await world.until(lambda: world.attempt() == 2, "attempt 2", limit=300)

    in_a_world(play)


@pytest.mark.parametrize("error", [Forbidden("no right"), Unavailable("a webhook is down")])
def test_nor_does_one_that_cannot_have_tokens_reviewed(error: ApiError) -> None:
    """The kubelet is cut off, the trainer goes on and says so, and nobody can tell who speaks."""

    async def play(world: World) -> None:
        broken = True
        await a_job_at_work(world)
        asks = calls("create", TOKENREVIEWS)
        for replica in world.replicas.all:
            replica.meet(lambda call: broken and asks(call), before=fail(error))
        await world.clock.sleep(150)
        node = world.node_of(1)
        node.cut_off = True
        await world.clock.sleep(600)
        assert world.status()["attempt"] == 1
        assert world.status()["state"] == "Created"
        verdict = ready(the_operator(world).facts())
        assert not verdict.good
        assert "tokens" in verdict.why
        # With reviews a silence is one again, though nobody is left to ask for any.
        node.power_cut()
        broken = False
        await world.until(lambda: world.attempt() == 2, "attempt 2", limit=300)
        assert ready(the_operator(world).facts()).good

    in_a_world(play)
