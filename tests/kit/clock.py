"""Hours of waiting in seconds: an event loop whose time moves only when every task is idle.

    def test_the_back_off_grows() -> None:
        async def scenario(clock: FakeClock) -> None:
            await clock.sleep(3600)          # returns at once, an hour later
            assert clock.monotonic() == 3600
        in_fake_time(scenario)

`in_fake_time(main, limit=…)` runs `main(clock)` on a fresh loop and returns its result. Everything
that waits through the loop moves with it: `asyncio.sleep`, `asyncio.timeout`, `wait_for`, every
`FakeClock` of the same loop. Nothing else may wait: no threads (an executor's function is run at
once, in line), no sockets. Order is the loop's own, so a run repeats exactly.

It stops with `Stuck` when every task waits for something that no timer will ever bring, with
`OutOfTime` when `limit` fake seconds have passed, and with whatever a background task died of.

`FakeClock(skew=…, rate=…)` gives a process a wall clock that is wrong by `skew` seconds and a
monotonic clock that runs `rate` times as fast as true time; `HandClock()` is for code without
waiting. `FakeEntropy(seed)` is chance that repeats, `SteadyEntropy(0.5)` always the same point.
"""

import asyncio
import random
import selectors
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

__all__ = [
    "EPOCH",
    "FakeClock",
    "FakeEntropy",
    "FakeTimeLoop",
    "HandClock",
    "OutOfTime",
    "SteadyEntropy",
    "Stuck",
    "in_fake_time",
    "settle",
]

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What a `FakeClock` shows when its loop starts."""


class Stuck(AssertionError):  # noqa: N818 - a state of the test, not of the code
    """Every task waits, and nothing is scheduled that could wake one."""


class OutOfTime(AssertionError):  # noqa: N818 - as above
    """The scenario took more fake time than it was given."""


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """A loop that, where others wait, moves its time to the next timer."""

    def __init__(self, *, limit: float = 7 * 86400.0) -> None:
        self._fake_seconds = 0.0
        self._limit = limit
        super().__init__(_ImpatientSelector(self._advance))

    def time(self) -> float:
        """Fake seconds since the loop was made."""
        return self._fake_seconds

    def _advance(self, seconds: float | None) -> None:
        if seconds is None:
            raise Stuck(_describe("nothing will ever wake these tasks", self))
        self._fake_seconds += seconds
        if self._fake_seconds > self._limit:
            raise OutOfTime(_describe(f"{self._limit:.0f} s of fake time have passed", self))

    def run_in_executor(  # type: ignore[override]
        self, _executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` here and now: a thread would end at a moment that no seed decides."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's to hear of
            done.set_exception(error)
        return done


class _ImpatientSelector(selectors.SelectSelector):
    """Never waits: says how long it was asked to, and looks once."""

    def __init__(self, advance: Callable[[float | None], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self._advance(timeout)
        return ready


class FakeClock:
    """One process's clocks on the running `FakeTimeLoop`, or on `loop`."""

    def __init__(
        self, *, skew: float = 0.0, rate: float = 1.0, loop: FakeTimeLoop | None = None
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self.skew = skew
        self.rate = rate

    def now(self) -> datetime:
        """`EPOCH` plus true time, wrong by `skew`."""
        return EPOCH + timedelta(seconds=self._loop.time() + self.skew)

    def monotonic(self) -> float:
        """True seconds since the loop was made, times `rate`."""
        return self._loop.time() * self.rate

    async def sleep(self, seconds: float) -> None:
        """Return when `monotonic` has grown by `seconds`."""
        # The loop fires what is due within its resolution, a nanosecond, without moving its time:
        # whoever waits for a rest of rounding would ask again for ever.
        await asyncio.sleep(max(1e-6, seconds / self.rate) if seconds > 0 else 0.0)

    def block(self, seconds: float) -> None:
        """No thread may wait for a time that only the loop moves."""
        raise NotImplementedError


class HandClock:
    """A clock without a loop: moved by `step`, and by `sleep`, which returns at once."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def step(self, seconds: float) -> None:
        """Let so much time have passed."""
        self._seconds += seconds

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        self.step(max(0.0, seconds))

    def block(self, seconds: float) -> None:
        self.step(max(0.0, seconds))


class FakeEntropy:
    """Chance that the seed decides."""

    def __init__(self, seed: int | str = 0) -> None:
        self._random = random.Random(seed)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def token(self) -> str:
        return f"{self._random.getrandbits(64):016x}"


class SteadyEntropy:
    """Chance that always falls on the same `point` of the range, 0 to 1; tokens count up."""

    def __init__(self, point: float = 1.0) -> None:
        self._point = point
        self._tokens = 0

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self._point

    def token(self) -> str:
        self._tokens += 1
        return f"{self._tokens:016x}"


async def settle(turns: int = 50) -> None:
    """Let every task that can run do so, without moving time."""
    for _ in range(turns):
        await asyncio.sleep(0)


def in_fake_time(main: Callable[[FakeClock], Awaitable[T]], *, limit: float = 7 * 86400.0) -> T:
    """Run `main` in fake time, end every task it left behind, and return its result.

    Raises:
        Stuck, OutOfTime: see the module.
        Exception: what `main` raised, or a background task that nobody awaited.
    """
    died: list[BaseException] = []

    def remember(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        died.append(context.get("exception") or RuntimeError(context["message"]))

    async def scenario() -> T:
        asyncio.get_running_loop().set_exception_handler(remember)
        return await main(FakeClock())

    with asyncio.Runner(loop_factory=lambda: FakeTimeLoop(limit=limit)) as runner:
        result = runner.run(scenario())
    if died:
        raise died[0]
    return result


def _describe(what: str, loop: asyncio.AbstractEventLoop) -> str:
    waiting = "\n".join(f"  {_where(task)}" for task in asyncio.all_tasks(loop))
    return f"{what} (at {loop.time():.1f} s):\n{waiting}"


def _where(task: "asyncio.Task[Any]") -> str:
    frames = task.get_stack(limit=1)
    place = f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else "nowhere"
    return f"{task.get_name()} {task.get_coro()!r} at {place}"
