"""After any sequence of changes, gaps and faults the cache equals the server; and on the way there
it never goes back in time, and its listeners know what it knows.
"""

import asyncio
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, FakeClient
from spot_operator.control.client import Json
from spot_operator.control.errors import AlreadyExists, Gone, NotFound, Unavailable
from spot_operator.control.informer import Informer
from spot_operator.control.resource import CONFIGMAPS
from spot_operator.control.store import Change

NAMES = st.sampled_from(["a", "b", "c", "d"])
PASSING = ["wait", "wait_long", "sever", "gone", "forget", "restart", "heal"]
LASTING = ["cut", "blind", "lag", "lose"]
MISHAPS = st.sampled_from([*PASSING, *LASTING])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["create", "change", "select", "delete", "recreate"]), NAMES),
        st.tuples(MISHAPS, st.just("")),
    ),
    min_size=5,
    max_size=60,
)


class World:
    """A server that is changed, an informer that follows, and a mirror made by a listener."""

    def __init__(self, clock: FakeClock, seed: int) -> None:
        self.clock = clock
        self.server = FakeApiServer(clock, FakeEntropy(seed), history=20)
        self.client = FakeClient(self.server)
        self.informer = Informer(
            self.client,
            CONFIGMAPS,
            clock,
            FakeEntropy(seed),
            label_selector="seen=yes",
            indexes={"value": lambda item: [(item.get("data") or {}).get("value", "")]},
            relist_seconds=300,
        )
        self.informer.subscribe(self.hear)
        self.mirror: dict[str, Json] = {}
        self.newest: dict[str, int] = {}
        self.count = 0

    def hear(self, change: Change) -> None:
        """Apply a change to the mirror; versions of one object only grow."""
        uid = change.item["metadata"]["uid"]
        assert self.mirror.get(uid) == change.old or change.new is None
        if change.new is None:
            del self.mirror[uid]
            return
        version = int(change.new["metadata"]["resourceVersion"])
        assert version > self.newest.get(uid, 0), "an old state came back"
        self.newest[uid] = version
        self.mirror[uid] = change.new

    async def do(self, step: str, name: str) -> None:
        """One step, and a moment for the informer to look."""
        with suppress(NotFound, AlreadyExists):
            await getattr(self, step)(*([name] if name else []))
        await self.clock.sleep(0.01)
        self.expect_listeners_to_know()

    async def create(self, name: str) -> None:
        self.count += 1
        meta = {"name": name, "namespace": "default", "labels": {"seen": "yes"}}
        self.server.create(CONFIGMAPS, {"metadata": meta, "data": {"value": str(self.count)}})

    async def change(self, name: str) -> None:
        self.count += 1
        patch: Json = {"data": {"value": str(self.count)}}
        self.server.patch(CONFIGMAPS, name, patch, namespace="default")

    async def select(self, name: str) -> None:
        """Take the label away, or give it back."""
        item = self.server.get(CONFIGMAPS, name, "default")
        has = item["metadata"].get("labels", {}).get("seen")
        patch: Json = {"metadata": {"labels": {"seen": None if has else "yes"}}}
        self.server.patch(CONFIGMAPS, name, patch, namespace="default")

    async def delete(self, name: str) -> None:
        self.server.delete(CONFIGMAPS, name, namespace="default")

    async def recreate(self, name: str) -> None:
        await self.delete(name)
        await self.create(name)

    async def wait(self) -> None:
        await self.clock.sleep(3)

    async def wait_long(self) -> None:
        await self.clock.sleep(90)

    async def sever(self) -> None:
        self.server.storage.sever(Unavailable("reset"))

    async def gone(self) -> None:
        self.server.storage.sever(Gone("too old"))

    async def forget(self) -> None:
        self.server.forget_history()

    async def restart(self) -> None:
        self.server.restart()

    async def cut(self) -> None:
        self.client.faults.cut = True

    async def blind(self) -> None:
        self.client.faults.blind = True

    async def lag(self) -> None:
        self.client.faults.lag = 5.0

    async def lose(self) -> None:
        """Every second event is lost without a trace."""
        self.client.faults.lose(
            lambda _, event: int(event.object["metadata"]["resourceVersion"]) % 2 == 0
        )

    async def heal(self) -> None:
        self.client.faults.cut = self.client.faults.blind = False
        self.client.faults.lag = 0.0
        self.client.faults.clear()

    def expect_listeners_to_know(self) -> None:
        """Fail unless the mirror and the index hold what the store holds."""
        held = {item["metadata"]["uid"]: item for item in self.informer.items()}
        assert self.mirror == held
        by_index = [
            item["metadata"]["uid"]
            for value in self.informer.store.keys("value")
            for item in self.informer.by_index("value", value)
        ]
        assert sorted(by_index) == sorted(held)

    def expect_agreement(self) -> None:
        """Fail unless the cache equals the server."""
        served = self.server.list(CONFIGMAPS, label_selector="seen=yes").items
        assert {item["metadata"]["uid"]: item for item in served} == self.mirror


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1000))
def test_the_cache_ends_up_equal_to_the_server(steps: list[tuple[str, str]], seed: int) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = World(clock, seed)
        following = asyncio.create_task(world.informer.run())
        for step in steps:
            await world.do(*step)
        await world.heal()
        # The longest way back: a lost event is found by the regular list.
        await clock.sleep(400)
        assert not following.done()
        world.expect_listeners_to_know()
        world.expect_agreement()
        assert world.informer.error is None
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    in_fake_time(scenario)


@settings(max_examples=200, deadline=None)
@given(
    steps=STEPS.map(lambda steps: [s for s in steps if s[0] not in {"lose", "lag", "blind"}]),
    seed=st.integers(0, 1000),
)
def test_without_lies_the_cache_agrees_within_a_minute(
    steps: list[tuple[str, str]], seed: int
) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = World(clock, seed)
        following = asyncio.create_task(world.informer.run())
        for step in steps:
            await world.do(*step)
        await world.heal()
        await clock.sleep(45)
        world.expect_agreement()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    in_fake_time(scenario)
