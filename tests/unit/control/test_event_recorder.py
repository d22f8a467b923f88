"""Events for people: told once, counted up, never in the way."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time, settle
from kit.fakeapi import FakeApiServer, FakeClient, calls, fail
from spot_operator.control.client import Json
from spot_operator.control.errors import Forbidden
from spot_operator.control.events import EventRecorder, Note, reference
from spot_operator.control.resource import EVENTS, NAMESPACES

THING: Json = {
    "apiVersion": "example.com/v1",
    "kind": "Thing",
    "metadata": {"name": "one", "namespace": "default", "uid": "u-1"},
}


def a_note(text: str = "it went", reason: str = "Went", about: Json = THING) -> Note:
    return Note(reference(about), "Normal", reason, text, "Going")


class World:
    """A server and a recorder that runs beside the test."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.server = FakeApiServer(clock, FakeEntropy())
        self.client = FakeClient(self.server)
        self.recorder = EventRecorder(
            self.client, clock, FakeEntropy(1), controller="example.com/c", instance="c-0"
        )

    def events(self) -> list[Json]:
        """What people see, oldest first."""
        return sorted(self.server.objects(EVENTS), key=lambda e: str(e["eventTime"]))


def recording(scenario: Callable[[World], Awaitable[None]]) -> None:
    """Run a recorder beside `scenario`."""

    async def main(clock: FakeClock) -> None:
        world = World(clock)
        running = asyncio.create_task(world.recorder.run())
        await scenario(world)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    in_fake_time(main)


def test_an_event_says_what_happened_to_whom() -> None:
    async def scenario(world: World) -> None:
        world.recorder.record(a_note())
        await settle()
        (event,) = world.events()
        assert event["regarding"] == {
            "apiVersion": "example.com/v1",
            "kind": "Thing",
            "name": "one",
            "namespace": "default",
            "uid": "u-1",
        }
        assert (event["type"], event["reason"], event["action"]) == ("Normal", "Went", "Going")
        assert event["note"] == "it went"
        assert event["metadata"]["name"].startswith("one.")
        assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"
        assert (event["reportingController"], event["reportingInstance"]) == (
            "example.com/c",
            "c-0",
        )

    recording(scenario)


async def with_a_namespace_that_goes(world: World) -> Json:
    """A thing in a namespace that is being deleted and still has something in it."""
    meta = {"name": "team", "finalizers": ["example.com/holds"]}
    await world.client.create(NAMESPACES, {"metadata": meta, "kind": "Namespace"})
    await world.client.delete(NAMESPACES, "team")
    return THING | {"metadata": THING["metadata"] | {"namespace": "team"}}


def test_a_warning_of_a_namespace_that_goes_is_told_of_the_namespace() -> None:
    """No event can be created in it any more, not even of one of its own objects."""

    async def scenario(world: World) -> None:
        about = await with_a_namespace_that_goes(world)
        for _ in range(2):
            world.recorder.record(replace(a_note("they stay", about=about), type="Warning"))
            await world.clock.sleep(60)
        (event,) = world.events()
        assert event["regarding"] == {"apiVersion": "v1", "kind": "Namespace", "name": "team"}
        assert event["metadata"]["namespace"] == "default"
        assert event["note"] == "Thing team/one: they stay"
        assert (event["reason"], event["series"]["count"]) == ("Went", 2)
        assert world.recorder.dropped == 0

    recording(scenario)


def test_what_is_usual_in_a_namespace_that_goes_is_not_told() -> None:
    async def scenario(world: World) -> None:
        world.recorder.record(a_note(about=await with_a_namespace_that_goes(world)))
        await settle()
        assert world.events() == []
        assert world.recorder.dropped == 1

    recording(scenario)


def test_a_warning_that_can_be_told_nowhere_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As where the release has rights in its own namespaces alone."""

    async def scenario(world: World) -> None:
        about = await with_a_namespace_that_goes(world)
        world.client.faults.on(
            lambda call: call.verb == "create" and call.namespace == "default",
            before=fail(Forbidden("not in default")),
        )
        world.recorder.record(replace(a_note("they stay", about=about), type="Warning"))
        await settle()
        assert world.events() == []

    recording(scenario)
    (said,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert "Went" in said.getMessage()
    assert "Thing team/one: they stay" in said.getMessage()


def test_the_same_again_within_ten_minutes_is_counted_up() -> None:
    async def scenario(world: World) -> None:
        for _ in range(3):
            world.recorder.record(a_note())
            await world.clock.sleep(60)
        (event,) = world.events()
        assert event["series"] == {
            "count": 3,
            "lastObservedTime": "2026-01-01T00:02:00.000000Z",
        }

    recording(scenario)


def test_the_same_after_ten_quiet_minutes_is_new() -> None:
    async def scenario(world: World) -> None:
        world.recorder.record(a_note())
        await world.clock.sleep(601)
        world.recorder.record(a_note())
        await settle()
        assert len(world.events()) == 2

    recording(scenario)


def test_another_reason_text_or_object_is_another_event() -> None:
    async def scenario(world: World) -> None:
        other = {**THING, "metadata": {**THING["metadata"], "uid": "u-2"}}
        for note in (a_note(), a_note(text="x"), a_note(reason="Came"), a_note(about=other)):
            world.recorder.record(note)
        await settle()
        assert len(world.events()) == 4

    recording(scenario)


def test_an_event_that_the_server_forgot_is_told_anew() -> None:
    async def scenario(world: World) -> None:
        world.recorder.record(a_note())
        await settle()
        (event,) = world.events()
        world.server.delete(EVENTS, event["metadata"]["name"], namespace="default")
        world.recorder.record(a_note())
        await settle()
        assert len(world.events()) == 1

    recording(scenario)


def test_events_of_cluster_wide_objects_are_in_the_default_namespace() -> None:
    async def scenario(world: World) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u-3"}}
        world.recorder.record(a_note(about=node))
        await settle()
        (event,) = world.events()
        assert event["metadata"]["namespace"] == "default"
        assert "namespace" not in event["regarding"]

    recording(scenario)


def test_a_refusal_costs_the_event_and_nothing_else() -> None:
    async def scenario(world: World) -> None:
        world.client.faults.on(calls("create"), before=fail(Forbidden("no")), times=1)
        world.recorder.record(a_note("lost"))
        world.recorder.record(a_note("told"))
        await settle()
        assert [event["note"] for event in world.events()] == ["told"]
        assert world.recorder.dropped == 1

    recording(scenario)


def test_a_flood_is_written_at_a_bounded_rate_and_beyond_a_bound_dropped() -> None:
    async def scenario(world: World) -> None:
        for number in range(1100):
            world.recorder.record(a_note(f"number {number}"))
        assert world.recorder.dropped == 100
        await settle(500)
        assert len(world.events()) == 25
        await world.clock.sleep(10)
        assert 74 <= len(world.events()) <= 76

    recording(scenario)


def test_last_words_are_written_at_once() -> None:
    async def main(clock: FakeClock) -> None:
        world = World(clock)
        for number in range(50):
            world.recorder.record(a_note(f"number {number}"))
        await world.recorder.flush()
        assert len(world.events()) == 50
        assert clock.monotonic() == 0

    in_fake_time(main)


def test_a_long_text_is_cut_between_characters() -> None:
    async def scenario(world: World) -> None:
        world.recorder.record(a_note("ä" * 1000))
        await settle()
        (event,) = world.events()
        assert len(event["note"].encode()) <= 1024
        assert event["note"].endswith("ä…")

    recording(scenario)
