"""The tests' own clock: if it lied, every test on it would."""

import asyncio

import pytest
from kit.clock import EPOCH, FakeClock, FakeEntropy, OutOfTime, Stuck, in_fake_time, settle


def test_a_day_passes_at_once_and_exactly() -> None:
    async def scenario(clock: FakeClock) -> tuple[float, float]:
        await clock.sleep(86400)
        return clock.monotonic(), (clock.now() - EPOCH).total_seconds()

    assert in_fake_time(scenario) == (86400, 86400)


def test_time_stands_still_while_any_task_can_run() -> None:
    async def scenario(clock: FakeClock) -> float:
        sleeper = asyncio.create_task(clock.sleep(1))
        await settle(1000)
        before = clock.monotonic()
        await sleeper
        return before

    assert in_fake_time(scenario) == 0


def test_tasks_wake_in_the_order_of_their_timers() -> None:
    async def scenario(clock: FakeClock) -> list[float]:
        order: list[float] = []

        async def wake(after: float) -> None:
            await clock.sleep(after)
            order.append(after)

        await asyncio.gather(*(wake(s) for s in (3.0, 1.0, 2.0, 0.5)))
        return order

    assert in_fake_time(scenario) == [0.5, 1.0, 2.0, 3.0]


def test_asyncio_timeouts_move_with_fake_time() -> None:
    async def scenario(clock: FakeClock) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.Event().wait()
        return clock.monotonic()

    assert in_fake_time(scenario) == 90


def test_waiting_for_what_never_comes_is_an_error_that_names_the_task() -> None:
    async def scenario(_: FakeClock) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="scenario"):
        in_fake_time(scenario)


def test_a_scenario_without_end_is_an_error() -> None:
    async def scenario(clock: FakeClock) -> None:
        while True:
            await clock.sleep(10)

    with pytest.raises(OutOfTime):
        in_fake_time(scenario, limit=100)


def test_the_death_of_a_background_task_is_not_lost() -> None:
    async def scenario(clock: FakeClock) -> None:
        async def dies() -> None:
            raise ValueError("nobody listens")

        background = {asyncio.create_task(dies())}
        await clock.sleep(1)
        background.clear()

    with pytest.raises(ValueError, match="nobody listens"):
        in_fake_time(scenario)


def test_a_fast_clock_measures_more_and_sleeps_less() -> None:
    async def scenario(true: FakeClock) -> tuple[float, float]:
        fast = FakeClock(rate=1.5)
        await fast.sleep(15)
        return true.monotonic(), fast.monotonic()

    assert in_fake_time(scenario) == (10, 15)


def test_blocking_work_is_done_in_line() -> None:
    async def scenario(clock: FakeClock) -> tuple[int, float]:
        return await asyncio.to_thread(sum, [1, 2]), clock.monotonic()

    assert in_fake_time(scenario) == (3, 0)


def test_seeds_decide_chance() -> None:
    first, again, other = FakeEntropy(1), FakeEntropy(1), FakeEntropy(2)
    drawn = [(e.uniform(0, 1), e.token()) for e in (first, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]
