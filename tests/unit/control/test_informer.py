"""A cache that follows the server through gaps, silence, lies and restarts."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time, settle
from kit.fakeapi import FakeApiServer, FakeClient, calls, fail
from spot_operator.control.client import Json, WatchEvent
from spot_operator.control.errors import ApiError, Forbidden, Gone, Unavailable
from spot_operator.control.informer import SILENCE_SECONDS, Informer
from spot_operator.control.resource import PODS
from spot_operator.control.store import Change

OURS = {"ours": "yes"}


class World:
    """A server, an informer on its pods, and everything the informer told."""

    def __init__(self, clock: FakeClock, **options: Any) -> None:
        self.clock = clock
        self.server = FakeApiServer(clock, FakeEntropy())
        self.client = FakeClient(self.server)
        self.informer = Informer(
            self.client,
            PODS,
            clock,
            FakeEntropy(1),
            label_selector="ours=yes",
            indexes={"node": lambda pod: [pod["spec"].get("nodeName", "")]},
            **options,
        )
        self.told: list[Change] = []
        self.informer.subscribe(self.told.append)

    def pod(self, name: str, *, node: str = "", labels: dict[str, str] | None = None) -> Json:
        """Create a pod on the server."""
        meta = {"name": name, "namespace": "default", "labels": OURS if labels is None else labels}
        spec: Json = {"containers": []}
        if node:
            spec["nodeName"] = node
        return self.server.create(PODS, {"metadata": meta, "spec": spec}).object

    def annotate(self, name: str, value: str) -> Json:
        """Change a pod on the server."""
        patch: Json = {"metadata": {"annotations": {"value": value}}}
        return self.server.patch(PODS, name, patch, namespace="default")

    def delete(self, name: str) -> None:
        """Remove a pod from the server at once."""
        self.server.delete(PODS, name, namespace="default", grace_seconds=0)

    def trouble(self) -> ApiError | None:
        """The error that the informer shows."""
        return self.informer.error

    def told_in_short(self) -> list[tuple[str, str]]:
        """What listeners heard: (kind of change, name)."""
        kinds = {(False, True): "new", (True, True): "changed", (True, False): "gone"}
        return [
            (kinds[change.old is not None, change.new is not None], change.item["metadata"]["name"])
            for change in self.told
        ]

    def expect_synchronised(self) -> None:
        """Fail unless the cache holds exactly the server's objects, as they are."""
        served = self.server.list(PODS, label_selector="ours=yes").items
        by_uid: Callable[[Json], str] = lambda item: item["metadata"]["uid"]  # noqa: E731
        assert sorted(self.informer.items(), key=by_uid) == sorted(served, key=by_uid)


Scenario = Callable[[World], Awaitable[None]]


def follow(
    scenario: Scenario, *, prepare: Callable[[World], Any] = lambda _: None, **options: Any
) -> None:
    """Run an informer beside `scenario`, after `prepare` has set up the server."""

    async def main(clock: FakeClock) -> None:
        world = World(clock, **options)
        prepare(world)
        running = asyncio.create_task(world.informer.run())
        try:
            await scenario(world)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    in_fake_time(main)


def test_it_starts_with_what_is_there_and_only_what_is_selected() -> None:
    def prepare(world: World) -> None:
        world.pod("a", node="n1")
        world.pod("foreign", labels={})

    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        world.expect_synchronised()
        assert world.told_in_short() == [("new", "a")]
        assert [change.live for change in world.told] == [False]
        assert [p["metadata"]["name"] for p in world.informer.by_index("node", "n1")] == ["a"]
        assert world.informer.named("a", "default") is not None
        assert world.informer.named("foreign", "default") is None

    follow(scenario, prepare=prepare)


def test_it_reads_large_lists_in_pages() -> None:
    def prepare(world: World) -> None:
        for number in range(1201):
            world.pod(f"p{number}")

    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        assert len(world.informer.items()) == 1201

    follow(scenario, prepare=prepare)


def test_it_tells_every_change_as_it_happens() -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        made = world.pod("a")
        await settle()
        changed = world.annotate("a", "1")
        await settle()
        world.delete("a")
        await settle()
        assert world.told_in_short()[:2] == [("new", "a"), ("changed", "a")]
        assert world.told_in_short()[-1] == ("gone", "a")
        assert all(change.live for change in world.told)
        assert (world.told[1].old, world.told[1].new) == (made, changed)
        world.expect_synchronised()

    follow(scenario)


def test_losing_the_label_is_an_end_and_regaining_it_a_beginning() -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        world.pod("a")
        for value in (None, "yes"):
            patch: Json = {"metadata": {"labels": {"ours": value}}}
            world.server.patch(PODS, "a", patch, namespace="default")
            await settle()
        assert [kind for kind, _ in world.told_in_short()] == ["new", "gone", "new"]
        world.expect_synchronised()

    follow(scenario)


def test_a_deletion_in_a_gap_is_found_by_the_new_list() -> None:
    async def scenario(world: World) -> None:
        for name in "ab":
            world.pod(name)
        await world.informer.synced.wait()
        world.client.faults.cut = True
        world.delete("a")
        world.annotate("b", "1")
        world.pod("c")
        world.server.restart()
        await world.clock.sleep(5)
        world.told.clear()
        world.client.faults.cut = False
        await world.clock.sleep(60)
        world.expect_synchronised()
        assert world.told_in_short() == [("gone", "a"), ("changed", "b"), ("new", "c")]
        assert not any(change.live for change in world.told)

    follow(scenario)


def test_the_first_expired_position_is_listed_anew_at_once() -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        world.server.storage.sever(Gone("too old"))
        world.pod("a")
        world.server.forget_history()
        await world.clock.sleep(0.1)
        world.expect_synchronised()

    follow(scenario)


def test_a_pod_recreated_in_a_gap_is_another_pod() -> None:
    async def scenario(world: World) -> None:
        first = world.pod("a")
        await world.informer.synced.wait()
        world.delete("a")
        second = world.pod("a")
        world.server.restart()
        await world.clock.sleep(5)
        assert world.informer.get(first["metadata"]["uid"]) is None
        assert world.informer.named("a", "default") == second
        assert world.told_in_short() == [("new", "a"), ("gone", "a"), ("new", "a")]

    follow(scenario)


def test_a_break_resumes_where_it_was_without_a_list() -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        world.client.faults.on(calls("list"), before=fail(AssertionError("no list is needed")))
        world.server.storage.sever(Unavailable("reset"))
        world.pod("a")
        await world.clock.sleep(2)
        world.expect_synchronised()
        assert world.informer.failures == 0

    follow(scenario)


def test_silence_is_seen_and_ended_by_a_list() -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        world.client.faults.blind = True
        world.pod("a")
        await world.clock.sleep(62)
        assert world.informer.items() == []
        assert world.informer.silence() == pytest.approx(62)
        await world.clock.sleep(2)
        world.expect_synchronised()
        assert world.informer.silence() < 2

    follow(scenario)


def test_a_silence_that_no_list_can_end_is_shown() -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        world.client.faults.cut = True
        await world.clock.sleep(600)
        assert isinstance(world.trouble(), Unavailable)
        assert world.informer.silence() == pytest.approx(600)
        world.client.faults.cut = False
        await world.clock.sleep(45)
        assert world.trouble() is None
        assert world.informer.silence() < 45

    follow(scenario)


def test_a_deaf_watch_is_made_up_for_by_lists() -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        world.client.faults.blind = True
        for number in range(5):
            world.pod(f"p{number}")
            await world.clock.sleep(65)
            world.expect_synchronised()
        assert (world.trouble(), world.informer.failures) == (None, 0)

    follow(scenario)


@pytest.mark.parametrize("moving", [True, False], ids=["with bookmarks", "without"])
def test_a_healthy_informer_of_a_quiet_kind_is_never_silent_for_long(*, moving: bool) -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        for number in range(400):
            await world.clock.sleep(3)
            if moving:
                world.pod(f"foreign-{number}", labels={})
            assert world.informer.silence() < SILENCE_SECONDS
        assert world.told == []
        assert (world.trouble(), world.informer.failures) == (None, 0)

    follow(scenario)


def test_a_lost_event_is_healed_by_the_regular_list() -> None:
    async def scenario(world: World) -> None:
        world.pod("a")
        world.pod("b")
        await world.informer.synced.wait()
        world.client.faults.lose(lambda _, event: event.type != "BOOKMARK")
        world.delete("a")
        world.annotate("b", "1")
        still_there: list[bool] = []
        for number in range(20):
            world.pod(f"foreign-{number}", labels={})  # bookmarks go on coming
            await world.clock.sleep(40)
            still_there.append(world.informer.named("a", "default") is not None)
        assert still_there[:14] == [True] * 14
        assert still_there[-3:] == [False] * 3
        world.expect_synchronised()

    follow(scenario, relist_seconds=600)


def test_a_namesake_proves_the_end_of_its_predecessor() -> None:
    async def scenario(world: World) -> None:
        world.pod("a")
        await world.informer.synced.wait()
        world.client.faults.lose(lambda _, event: event.type == "DELETED")
        world.delete("a")
        second = world.pod("a")
        await settle()
        assert world.informer.items() == [second]
        assert world.told_in_short()[-2:] == [("gone", "a"), ("new", "a")]
        gone, new = world.told[-2:]
        assert not gone.live, "its last state was never told"
        assert new.live

    follow(scenario)


def test_a_server_that_repeats_itself_brings_nothing_back() -> None:
    async def scenario(world: World) -> None:
        old = world.pod("a")
        await world.informer.synced.wait()
        world.annotate("a", "1")
        await settle()
        world.informer._apply(WatchEvent("MODIFIED", old))
        world.expect_synchronised()
        world.delete("a")
        await settle()
        world.informer._apply(WatchEvent("ADDED", old))
        world.expect_synchronised()

    follow(scenario)


def test_a_restored_server_is_believed_although_its_numbers_are_lower() -> None:
    async def scenario(world: World) -> None:
        world.pod("kept")
        before = world.server.storage
        await world.informer.synced.wait()
        for number in range(50):
            world.annotate("kept", str(number))
        world.pod("undone")
        await settle()
        restored = FakeApiServer(world.clock, FakeEntropy(2))
        survivor = restored.create(
            PODS, {"metadata": {"name": "kept", "namespace": "default", "labels": OURS}}
        ).object
        assert restored.storage.number < before.number
        world.server.storage.sever(Unavailable("the server is restored"))
        world.client._server = world.server = restored
        await world.clock.sleep(72)
        assert world.informer.items() == [survivor]

    follow(scenario)


def test_errors_are_survived_shown_and_asked_about_ever_more_slowly() -> None:
    async def scenario(world: World) -> None:
        asked: list[float] = []
        world.client.faults.on(calls("list"), before=_noting_times(world, asked))
        world.client.faults.on(calls("list"), before=fail(Forbidden("pods is forbidden")))
        await world.clock.sleep(300)
        assert isinstance(world.trouble(), Forbidden)
        assert world.informer.failures == len(asked)
        assert not world.informer.synced.is_set()
        assert world.informer.silence() == float("inf")
        gaps = [later - sooner for sooner, later in pairwise(asked)]
        assert gaps[0] < 1
        assert all(15 <= gap <= 30 for gap in gaps[-5:])
        world.client.faults.clear()
        await world.clock.sleep(31)
        assert world.trouble() is None
        assert world.informer.synced.is_set()

    follow(scenario)


def test_a_server_that_hangs_up_at_once_is_not_hammered() -> None:
    async def scenario(world: World) -> None:
        await world.informer.synced.wait()
        opened: list[float] = []

        world.client.faults.on(calls("watch"), before=_noting_times(world, opened))
        world.client.faults.on(calls("watch"), before=_empty_watch(world))
        world.server.storage.sever(Unavailable("reset"))
        await world.clock.sleep(60)
        assert len(opened) < 15

    follow(scenario)


def test_lists_do_not_hide_that_every_watch_fails() -> None:
    async def scenario(world: World) -> None:
        listed: list[float] = []
        world.client.faults.on(calls("list"), before=_noting_times(world, listed))
        world.client.faults.on(calls("watch"), before=fail(Gone("too old")))
        await world.clock.sleep(300)
        assert len(listed) < 20

    follow(scenario)


def _noting_times(world: World, times: list[float]) -> Callable[[object], Awaitable[None]]:
    async def act(_: object) -> None:
        times.append(world.clock.monotonic())

    return act


def _empty_watch(world: World) -> Callable[[object], Awaitable[None]]:
    async def act(_: object) -> None:
        asyncio.get_running_loop().call_later(
            0.01, world.server.storage.sever, Unavailable("hung up")
        )

    return act


def test_objects_are_trimmed_before_they_are_kept() -> None:
    def trim(pod: Json) -> Json:
        return {"metadata": pod["metadata"], "spec": {}}

    async def scenario(world: World) -> None:
        world.pod("listed")
        await world.informer.synced.wait()
        world.pod("watched")
        await settle()
        world.annotate("watched", "1")
        world.delete("listed")
        await settle()
        kept = [*world.informer.items(), *(c.item for c in world.told)]
        assert {frozenset(item) for item in kept} == {frozenset({"metadata", "spec"})}

    follow(scenario, trim=trim)


def test_a_fault_of_a_listener_is_not_swallowed() -> None:
    async def main(clock: FakeClock) -> None:
        world = World(clock)

        def broken(_: Change) -> None:
            raise ZeroDivisionError

        world.informer.subscribe(broken)
        world.pod("a")
        with pytest.raises(ZeroDivisionError):
            await world.informer.run()

    in_fake_time(main)
