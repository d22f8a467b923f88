"""Which calls are tried again, and when: reads yes, writes only if surely nothing was done."""

import pytest
from kit.clock import FakeClock, SteadyEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, FakeClient, calls, fail
from spot_operator.control.client import Json
from spot_operator.control.errors import (
    ApiError,
    Conflict,
    NotFound,
    NotLeader,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from spot_operator.control.fence import FencedClient
from spot_operator.control.resource import CONFIGMAPS
from spot_operator.control.retry import RetryingClient

CONFIG: Json = {"metadata": {"name": "one", "namespace": "default"}}


def _patient(clock: FakeClock) -> tuple[RetryingClient, FakeClient, FakeApiServer]:
    server = FakeApiServer(clock, SteadyEntropy())
    inner = FakeClient(server)
    return RetryingClient(inner, clock, SteadyEntropy(), tries=4), inner, server


@pytest.mark.parametrize("error", [Unavailable("reset"), TooManyRequests("slow down")])
def test_a_read_survives_passing_trouble_with_growing_waits(error: ApiError) -> None:
    async def scenario(clock: FakeClock) -> None:
        patient, inner, server = _patient(clock)
        server.create(CONFIGMAPS, CONFIG)
        inner.faults.on(calls("get"), before=fail(error), times=3)
        found = await patient.get(CONFIGMAPS, "one", namespace="default")
        assert found["metadata"]["name"] == "one"
        assert clock.monotonic() == 0.25 + 0.5 + 1.0

    in_fake_time(scenario)


def test_a_read_gives_up_in_the_end() -> None:
    async def scenario(clock: FakeClock) -> None:
        patient, inner, _ = _patient(clock)
        inner.faults.on(calls("list"), before=fail(Unavailable("down")))
        with pytest.raises(Unavailable):
            await patient.list(CONFIGMAPS)

    in_fake_time(scenario)


def test_a_read_comes_back_no_earlier_than_asked_for() -> None:
    async def scenario(clock: FakeClock) -> None:
        patient, inner, _ = _patient(clock)
        busy = TooManyRequests("slow down", retry_after=12)
        inner.faults.on(calls("list"), before=fail(busy), times=1)
        await patient.list(CONFIGMAPS)
        assert clock.monotonic() == 12

    in_fake_time(scenario)


@pytest.mark.parametrize("error", [Conflict("changed"), NotFound("gone")])
def test_an_answer_is_not_asked_for_twice(error: ApiError) -> None:
    async def scenario(clock: FakeClock) -> None:
        patient, inner, _ = _patient(clock)
        inner.faults.on(calls("get"), before=fail(error), times=1)
        with pytest.raises(type(error)):
            await patient.get(CONFIGMAPS, "one", namespace="default")
        assert clock.monotonic() == 0

    in_fake_time(scenario)


@pytest.mark.parametrize("error", [Unavailable("reset"), TooManyRequests("no time named")])
def test_a_write_that_may_have_been_done_is_never_repeated(error: ApiError) -> None:
    async def scenario(clock: FakeClock) -> None:
        patient, inner, server = _patient(clock)
        inner.faults.on(calls("create"), after=fail(error), times=1)
        with pytest.raises(type(error)):
            await patient.create(CONFIGMAPS, CONFIG)
        assert len(server.objects(CONFIGMAPS)) == 1

    in_fake_time(scenario)


def test_a_write_that_the_server_put_off_is_repeated_when_it_said() -> None:
    async def scenario(clock: FakeClock) -> None:
        patient, inner, server = _patient(clock)
        busy = TooManyRequests("slow down", retry_after=5)
        inner.faults.on(calls("create"), before=fail(busy), times=2)
        await patient.create(CONFIGMAPS, CONFIG)
        assert len(server.objects(CONFIGMAPS)) == 1
        assert 10 <= clock.monotonic() <= 11

    in_fake_time(scenario)


def test_a_wait_longer_than_anyone_has_is_an_error() -> None:
    async def scenario(clock: FakeClock) -> None:
        patient, inner, _ = _patient(clock)
        inner.faults.on(calls(), before=fail(TooManyRequests("much later", retry_after=600)))
        with pytest.raises(TooManyRequests):
            await patient.create(CONFIGMAPS, CONFIG)
        assert clock.monotonic() == 0

    in_fake_time(scenario)


@pytest.mark.parametrize("asked", [1, 8, 16, 29, 32])
@pytest.mark.parametrize("verb", ["create", "list"])
def test_a_server_that_is_overloaded_holds_up_no_call_for_longer(asked: int, verb: str) -> None:
    """It asks for as much each time: a pass of several calls would look as if it hung."""

    async def scenario(clock: FakeClock) -> None:
        patient, inner, _ = _patient(clock)
        busy = TooManyRequests("too many requests", retry_after=asked)
        inner.faults.on(calls(verb), before=fail(busy))
        with pytest.raises(TooManyRequests):
            await (
                patient.create(CONFIGMAPS, CONFIG) if verb == "create" else patient.list(CONFIGMAPS)
            )
        assert clock.monotonic() <= 30

    in_fake_time(scenario)


def test_refused_credentials_are_tried_once_more() -> None:
    async def scenario(clock: FakeClock) -> None:
        patient, inner, server = _patient(clock)
        inner.faults.on(calls("create"), before=fail(Unauthorized("expired")), times=1)
        await patient.create(CONFIGMAPS, CONFIG)
        assert len(server.objects(CONFIGMAPS)) == 1
        inner.faults.on(calls("get"), before=fail(Unauthorized("expired")))
        with pytest.raises(Unauthorized):
            await patient.get(CONFIGMAPS, "one", namespace="default")

    in_fake_time(scenario)


def test_every_write_is_fenced_and_no_read_is() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, SteadyEntropy())
        made = server.create(CONFIGMAPS, CONFIG).object
        client = FencedClient(FakeClient(server), lambda: False)
        writes = [
            client.create(CONFIGMAPS, CONFIG),
            client.replace(CONFIGMAPS, {**made, "data": {}}),
            client.replace_status(CONFIGMAPS, made),
            client.patch(CONFIGMAPS, "one", {"data": {}}, namespace="default"),
            client.delete(CONFIGMAPS, "one", namespace="default"),
        ]
        for write in writes:
            with pytest.raises(NotLeader):
                await write
        assert await client.get(CONFIGMAPS, "one", namespace="default") == made
        assert (await client.list(CONFIGMAPS)).items == [made]

    in_fake_time(scenario)


def test_a_repeated_write_is_fenced_again() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, SteadyEntropy())
        inner = FakeClient(server)
        busy = TooManyRequests("slow down", retry_after=5)
        inner.faults.on(calls("create"), before=fail(busy), times=1)
        fenced = FencedClient(inner, lambda: clock.monotonic() < 3)
        patient = RetryingClient(fenced, clock, SteadyEntropy())
        with pytest.raises(NotLeader):
            await patient.create(CONFIGMAPS, CONFIG)
        assert server.objects(CONFIGMAPS) == []

    in_fake_time(scenario)
