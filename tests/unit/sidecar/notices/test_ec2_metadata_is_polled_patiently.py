"""The IMDSv2 source on a metadata service that a test makes up, in fake time or on loopback."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kit.clock import FakeClock, in_fake_time
from spot_sidecar.base.clock import SystemClock
from spot_sidecar.base.entropy import SystemEntropy
from spot_sidecar.notices.health import Health
from spot_sidecar.notices.imds import Imds, read_instance_action, read_rebalance
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.notices.source import Poller

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACTION = "/latest/meta-data/spot/instance-action"


@pytest.mark.parametrize(
    ("action", "time", "seconds"),
    [
        ("terminate", "2026-01-01T00:01:30Z", 90),
        ("stop", "2026-01-01T00:01:30Z", 90),
        ("terminate", "2026-01-01T01:00:00Z", 120),
        ("terminate", "2025-12-31T23:59:00Z", -60),
        ("terminate", "2025-12-31T23:50:00Z", 120),
        ("stop", "2025-12-30T00:00:00Z", 120),
        ("hibernate", "2026-01-01T00:01:30Z", 0),
    ],
)
def test_the_deadline_is_the_earlier_of_theirs_and_two_minutes(
    action: str, time: str, seconds: float
) -> None:
    notice = read_instance_action(f'{{"action":"{action}","time":"{time}"}}', NOW)
    assert notice.kind is Kind.Preempt
    assert notice.deadline == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("body", ["{}", '{"action":"dance","time":"2026-01-01T00:00:00Z"}', "x"])
def test_an_answer_that_ec2_does_not_give_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_instance_action(body, NOW)


def test_a_rebalance_recommendation_has_no_deadline() -> None:
    notice = read_rebalance('{"noticeTime":"2026-01-01T00:00:00Z"}', NOW)
    assert (notice.kind, notice.deadline) == (Kind.Rebalance, None)


class Metadata:
    """A metadata service: `answers` by path, else 404; tokens count up and can be spoiled."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self.tokens = 0
        self.good: set[str] = set()
        self.refuse_tokens = False
        self.asked: list[str] = []

    async def token(self, _: web.Request) -> web.Response:
        self.tokens += 1
        token = f"token-{self.tokens}"
        if not self.refuse_tokens:
            self.good = {token}
        return web.Response(text=token)

    def spoil_token(self) -> None:
        self.good = set()

    async def get(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.headers.get("X-aws-ec2-metadata-token") not in self.good:
            return web.Response(status=401)
        status, body = self.answers.get(request.path, (404, ""))
        return web.Response(status=status, text=body)


async def polled(
    metadata: Metadata, *steps: Callable[[], Any]
) -> tuple[list[Notice], list[Health]]:
    """Poll once, and once more after each step."""
    app = web.Application()
    app.router.add_put("/latest/api/token", metadata.token)
    app.router.add_get("/{path:.*}", metadata.get)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    notices: list[Notice] = []
    health: list[Health] = []
    clock = SystemClock()
    poller = Poller(
        Imds(f"http://127.0.0.1:{runner.addresses[0][1]}", clock),
        clock,
        notices.append,
        lambda _, changed: health.append(changed),
        SystemEntropy(),
    )
    async with aiohttp.ClientSession() as session:
        await poller.poll(session)
        for step in steps:
            step()
            await poller.poll(session)
    await runner.cleanup()
    return notices, health


async def test_404_means_that_nothing_is_announced() -> None:
    assert await polled(Metadata()) == ([], [Health(healthy=True)])


async def test_the_token_is_reused_until_it_is_refused() -> None:
    metadata = Metadata()
    await polled(metadata, lambda: None, lambda: None)
    assert metadata.tokens == 1
    metadata = Metadata()
    _, health = await polled(metadata, metadata.spoil_token)
    assert metadata.tokens == 2
    assert health == [Health(healthy=True)]


async def test_a_fresh_token_that_is_refused_is_not_asked_for_again_at_once() -> None:
    metadata = Metadata()
    metadata.refuse_tokens = True
    _, health = await polled(metadata)
    assert metadata.tokens == 2
    assert [one.healthy for one in health] == [False]
    assert "401" in health[0].detail


async def test_an_interruption_is_told_with_its_evidence() -> None:
    metadata = Metadata()
    body = '{"action":"terminate","time":"2036-01-01T00:00:00Z"}'

    def announce() -> None:
        metadata.answers[ACTION] = (200, body)

    notices, _ = await polled(metadata, announce)
    (notice,) = notices
    assert (notice.kind, notice.source, notice.raw) == (Kind.Preempt, "imds", body)


@pytest.mark.parametrize("status", [403, 500])
async def test_a_service_in_trouble_is_unhealthy_and_says_why(status: int) -> None:
    metadata = Metadata()
    metadata.answers[ACTION] = (status, "")
    notices, health = await polled(metadata, metadata.answers.clear)
    assert notices == []
    assert [one.healthy for one in health] == [False, True]
    assert str(status) in health[0].detail


def test_a_silent_service_is_asked_ever_more_rarely_but_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []

    async def scenario(clock: FakeClock) -> None:
        async def silent(*_: Any, **__: Any) -> Any:
            asked.append(clock.monotonic())
            raise TimeoutError

        source = Imds("http://127.0.0.1:1", clock)
        poller = Poller(source, clock, lambda _: None, lambda *_: None, SystemEntropy())
        monkeypatch.setattr(source, "_new_token", silent)
        run: Awaitable[None] = poller.run()
        try:
            async with asyncio.timeout(3600):
                await run
        except TimeoutError:
            return

    in_fake_time(scenario)
    gaps = [after - before for before, after in itertools.pairwise(asked)]
    assert gaps[0] < 3
    assert all(gap <= 30.1 for gap in gaps)
    assert min(gaps[10:]) >= 15
    assert len(asked) > 3600 / 31
