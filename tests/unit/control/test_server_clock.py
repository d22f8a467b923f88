"""Every leader tells the API server's time, whatever its machine's wall clock shows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.clock import EPOCH, FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, FakeClient, calls, fail
from spot_operator.control.client import Client
from spot_operator.control.errors import Forbidden, Unavailable
from spot_operator.control.resource import LEASES
from spot_operator.control.server_clock import ServerClock

DAY = 86_400.0


async def found(clock: ServerClock, client: Client) -> bool:
    return await clock.find(client, LEASES, "any", namespace="default")


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@pytest.mark.parametrize("skew", [0.0, -200.0, DAY, -DAY])
@pytest.mark.parametrize("answer", [None, Forbidden("no", status=403)])
def test_any_answer_tells_the_time(skew: float, answer: Exception | None) -> None:
    async def scenario(true: FakeClock) -> None:
        client = FakeClient(FakeApiServer(true, FakeEntropy()))
        if answer is not None:
            client.faults.on(calls("get"), before=None, after=fail(answer))
        own = FakeClock(skew=skew)
        clock = ServerClock(own)
        assert clock.now() == at(skew)
        await true.sleep(7.4)
        assert await found(clock, client)
        assert clock.now() == at(7)
        await clock.sleep(100)
        assert (clock.now(), clock.monotonic()) == (at(107), own.monotonic())

    in_fake_time(scenario)


def test_no_clock_that_jumps_moves_it() -> None:
    async def scenario(true: FakeClock) -> None:
        shown = FakeClock()
        client = FakeClient(FakeApiServer(shown, FakeEntropy()))
        own = FakeClock()
        clock = ServerClock(own)
        assert await found(clock, client)
        own.skew, shown.skew = DAY, -DAY
        await true.sleep(10)
        assert clock.now() == at(10)

    in_fake_time(scenario)


def test_a_server_that_is_not_reached_tells_nothing() -> None:
    async def scenario(true: FakeClock) -> None:
        client = FakeClient(FakeApiServer(true, FakeEntropy()))
        lost = fail(Unavailable("connection reset", status=0))
        client.faults.on(calls("get"), before=lost, times=1)
        clock = ServerClock(FakeClock(skew=DAY))
        assert not await found(clock, client)
        assert clock.now() == at(DAY)
        assert await found(clock, client)
        assert clock.now() == at(0)

    in_fake_time(scenario)


def test_without_a_date_our_own_clock_counts_and_does_not_jump() -> None:
    async def scenario(true: FakeClock) -> None:
        client = FakeClient(FakeApiServer(true, FakeEntropy()))
        client.faults.undated = True
        own = FakeClock(skew=-200.0)
        clock = ServerClock(own)
        assert await found(clock, client)
        own.skew = DAY
        await true.sleep(3)
        assert clock.now() == at(-197)

    in_fake_time(scenario)


def test_a_great_difference_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(true: FakeClock) -> None:
        await found(
            ServerClock(FakeClock(skew=2.0)), FakeClient(FakeApiServer(true, FakeEntropy()))
        )
        assert not caplog.records
        await found(
            ServerClock(FakeClock(skew=DAY)), FakeClient(FakeApiServer(true, FakeEntropy()))
        )
        assert "differs from the API server's by +86400 s" in caplog.text

    in_fake_time(scenario)


def test_dates_are_aware() -> None:
    async def scenario(true: FakeClock) -> Any:
        client = FakeClient(FakeApiServer(true, FakeEntropy()))
        assert client.date is None
        await found(ServerClock(true), client)
        return client.date

    assert in_fake_time(scenario) == datetime(2026, 1, 1, tzinfo=UTC)
