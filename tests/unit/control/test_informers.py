"""Several namespaces read as one; a namespace that may not be read stops nothing in the others."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import Call, FakeApiServer, FakeClient, fail
from spot_operator.control.client import Json
from spot_operator.control.errors import Forbidden
from spot_operator.control.informers import Informers
from spot_operator.control.resource import PODS
from spot_operator.control.store import Change

HOMES = ("one", "two", "three")


class World:
    """A server with three namespaces, two of which are watched."""

    def __init__(self, clock: FakeClock, namespaces: tuple[str, ...]) -> None:
        self.clock = clock
        self.server = FakeApiServer(clock, FakeEntropy(), namespaces=HOMES)
        self.client = FakeClient(self.server)
        self.pods = Informers(
            self.client,
            PODS,
            clock,
            FakeEntropy(1),
            namespaces=namespaces,
            indexes={"node": lambda pod: [pod["spec"].get("nodeName", "")]},
        )
        self.told: list[Change] = []
        self.pods.subscribe(self.told.append)

    def pod(self, namespace: str, name: str = "p") -> Json:
        """Create a pod on the server."""
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"containers": [], "nodeName": "n"},
        }
        return self.server.create(PODS, body).object

    def forbid(self, namespace: str) -> None:
        """What happens when a Role goes, or a namespace with its Role."""

        def reading_there(call: Call) -> bool:
            return call.namespace == namespace and call.verb in {"list", "watch"}

        self.client.faults.on(reading_there, before=fail(Forbidden("no")))


def follow(
    scenario: Callable[[World], Awaitable[None]], *namespaces: str, forbidden: str = ""
) -> None:
    async def main(clock: FakeClock) -> None:
        world = World(clock, namespaces)
        if forbidden:
            world.forbid(forbidden)
        for home in HOMES:
            world.pod(home)
        running = asyncio.create_task(world.pods.run())
        try:
            await scenario(world)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    in_fake_time(main)


@pytest.mark.parametrize(
    ("namespaces", "seen"),
    [((), {"one", "two", "three"}), (("one",), {"one"}), (("one", "three"), {"one", "three"})],
)
def test_what_is_watched_is_what_is_seen(namespaces: tuple[str, ...], seen: set[str]) -> None:
    async def scenario(world: World) -> None:
        await world.pods.wait_synced()
        assert {item["metadata"]["namespace"] for item in world.pods.items()} == seen
        assert len(world.pods) == len(seen)
        assert len(world.pods.by_index("node", "n")) == len(seen)
        for home in HOMES:
            found = world.pods.named("p", home)
            assert (found is not None) is (home in seen)
            if found:
                assert world.pods.get(found["metadata"]["uid"]) is found
        late = world.pod("one", "late")
        await world.clock.sleep(1)
        assert world.told[-1].item["metadata"]["uid"] == late["metadata"]["uid"]
        assert world.pods.silence() < 70
        assert (world.pods.silence("two") < 70) is ("two" in seen)

    follow(scenario, *namespaces)


def test_a_namespace_that_may_not_be_read_stops_nothing_in_the_others() -> None:
    async def scenario(world: World) -> None:
        await asyncio.wait_for(world.pods.wait_synced(), 60)
        assert [item["metadata"]["namespace"] for item in world.pods.items()] == ["two"]
        assert list(world.pods.refused) == ["one"]
        await world.clock.sleep(400)
        assert world.pods.silence() < 70
        assert world.pods.silence("one") > 70
        world.client.faults.clear()
        await world.clock.sleep(120)
        assert list(world.pods.refused) == []
        assert {item["metadata"]["namespace"] for item in world.pods.items()} == {"one", "two"}

    follow(scenario, "one", "two", forbidden="one")


def test_where_none_may_be_read_the_silence_is_told() -> None:
    async def scenario(world: World) -> None:
        await world.clock.sleep(10)
        assert world.pods.silence() == float("inf")

    follow(scenario, "one", forbidden="one")
