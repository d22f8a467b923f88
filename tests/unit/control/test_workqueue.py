"""Which key comes next, and when."""

import asyncio

import pytest
from kit.clock import FakeClock, SteadyEntropy, in_fake_time, settle
from spot_operator.control.workqueue import Priority, WorkQueue


def a_queue(clock: FakeClock) -> WorkQueue[str]:
    return WorkQueue(clock, SteadyEntropy(), initial=1.0, cap=8.0)


async def drained(queue: WorkQueue[str]) -> list[str]:
    """Every key that is ready now, each finished at once."""
    keys: list[str] = []
    while len(queue):
        keys.append(await queue.get())
        queue.done(keys[-1])
    return keys


def test_keys_come_in_the_order_of_their_first_wish_and_once() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        for key in "abacab":
            queue.add(key)
        assert await drained(queue) == ["a", "b", "c"]

    in_fake_time(scenario)


def test_live_keys_overtake_those_of_a_resync() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        for key in "abc":
            queue.add(key, Priority.RESYNC)
        queue.add("c")
        queue.add("d")
        queue.add("d", Priority.RESYNC)
        assert await drained(queue) == ["c", "d", "a", "b"]

    in_fake_time(scenario)


def test_a_resync_key_is_reached_in_a_storm_of_live_ones() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        queue.add("patient", Priority.RESYNC)
        picked: list[str] = []
        for number in range(40):
            queue.add(f"live-{number}")
            picked.append(await queue.get())
            queue.done(picked[-1])
        assert "patient" in picked

    in_fake_time(scenario)


def test_a_key_in_work_is_kept_for_after_that_work() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add("a")
        other = asyncio.create_task(queue.get())
        await clock.sleep(60)
        assert not other.done()
        queue.done("a")
        assert await other == "a"
        queue.done("a")
        assert len(queue) == 0

    in_fake_time(scenario)


def test_finishing_what_nobody_has_is_an_error() -> None:
    async def scenario(clock: FakeClock) -> None:
        with pytest.raises(KeyError):
            a_queue(clock).done("a")

    in_fake_time(scenario)


def test_a_delayed_key_comes_at_its_time_and_the_earliest_wish_stands() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        for seconds in (30, 10, 20):
            queue.add_after("a", seconds)
        assert await queue.get() == "a"
        assert clock.monotonic() == 10
        queue.done("a")
        waiting = asyncio.create_task(queue.get())
        await clock.sleep(100)
        assert not waiting.done()
        waiting.cancel()

    in_fake_time(scenario)


def test_a_waiting_worker_hears_of_an_earlier_time() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        queue.add_after("late", 100)
        worker = asyncio.create_task(queue.get())
        await clock.sleep(1)
        queue.add_after("early", 1)
        assert await worker == "early"
        assert clock.monotonic() == 2

    in_fake_time(scenario)


def test_retries_wait_longer_each_time_up_to_the_cap_and_start_anew_after_success() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        waits = [queue.retry("a") for _ in range(5)]
        assert waits == [1, 2, 4, 8, 8]
        assert queue.failures("a") == 5
        assert queue.failures("b") == 0
        queue.forget("a")
        assert queue.retry("a") == 1

    in_fake_time(scenario)


def test_every_idle_worker_gets_a_key() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        workers = [asyncio.create_task(queue.get()) for _ in range(3)]
        await settle()
        for key in "abc":
            queue.add(key)
        assert set(await asyncio.gather(*workers)) == {"a", "b", "c"}
        assert clock.monotonic() == 0

    in_fake_time(scenario)


def test_several_keys_of_one_time_wake_several_workers() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        workers = [asyncio.create_task(queue.get()) for _ in range(3)]
        await settle()
        for key in "abc":
            queue.add_after(key, 5)
        assert set(await asyncio.gather(*workers)) == {"a", "b", "c"}
        assert clock.monotonic() == 5

    in_fake_time(scenario)


def test_a_worker_that_leaves_takes_no_key_with_it() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        leaving, staying = (asyncio.create_task(queue.get()) for _ in range(2))
        await settle()
        queue.add("a")
        leaving.cancel()
        assert await staying == "a"
        assert clock.monotonic() == 0

    in_fake_time(scenario)


def test_the_age_is_that_of_the_longest_waiting_or_worked_on_key() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        assert queue.oldest_age() == 0
        queue.add_after("b", 4)
        queue.add("a")
        await clock.sleep(5)
        assert queue.oldest_age() == 5
        await queue.get()
        await clock.sleep(2)
        queue.forget("a")
        assert queue.oldest_age() == 3
        queue.done("a")
        assert queue.oldest_age() == 3
        assert await drained(queue) == ["b"]
        assert queue.oldest_age() == 0

    in_fake_time(scenario)


def test_the_age_grows_while_a_key_wants_another_look() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        queue.add("a")
        await queue.get()
        await clock.sleep(3)
        queue.add("a")
        await clock.sleep(3)
        queue.done("a")
        assert queue.oldest_age() == 3

    in_fake_time(scenario)


def test_a_long_row_of_keys_is_no_sign_that_the_workers_hang() -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = a_queue(clock)
        for key in ("a", "b", "c"):
            queue.add(key)
        await clock.sleep(4)
        assert queue.stuck_for() == 4, "nobody takes one"
        for _ in range(3):
            key = await queue.get()
            await clock.sleep(30)
            assert queue.stuck_for() == 30
            queue.done(key)
        assert queue.stuck_for() == 0

    in_fake_time(scenario)
