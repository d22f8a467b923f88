"""Whatever workers and sources do: no key is lost, none is with two workers at once."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from spot_operator.control.workqueue import Priority, WorkQueue

KEYS = st.sampled_from("abcd")
SECONDS = st.floats(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS, st.sampled_from(Priority)),
        st.tuples(st.just("later"), KEYS, SECONDS),
        st.tuples(st.just("burst"), KEYS, st.integers(2, 5)),
        st.tuples(st.just("wait"), KEYS, SECONDS),
        st.tuples(st.just("replace worker"), KEYS, st.integers(0, 2)),
    ),
    min_size=5,
    max_size=60,
)


@dataclass
class Log:
    """What was wished for and what was done, by key."""

    wished: dict[str, float] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    def wish(self, key: str, due: float) -> None:
        """`key` wants a look at or after `due`."""
        self.wished[key] = max(self.wished.get(key, 0.0), due)

    def start(self, key: str, now: float) -> None:
        """A worker has `key`."""
        assert key not in self.busy, f"{key} is with two workers"
        self.busy.add(key)
        self.started[key] = now


@dataclass
class World:
    """A queue, its workers, and what they do."""

    clock: FakeClock
    seed: int
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        self.chance = FakeEntropy(self.seed)
        self.queue = WorkQueue[str](self.clock, FakeEntropy(self.seed), initial=0.5, cap=4.0)
        self.workers = [asyncio.create_task(self._work()) for _ in range(3)]

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            self.log.start(key, self.clock.monotonic())
            try:
                await self.clock.sleep(self.chance.uniform(0, 2))
                if self.chance.uniform(0, 1) < 0.3:
                    self.queue.retry(key)
                else:
                    self.queue.forget(key)
            finally:
                self.log.busy.discard(key)
                self.queue.done(key)

    async def do(self, step: str, key: str, value: float) -> None:
        """One step of the scenario."""
        now = self.clock.monotonic()
        if step == "add":
            self.queue.add(key, Priority(int(value)))
            self.log.wish(key, now)
        elif step == "later":
            # An earlier wish may stand in for it: what is promised is one look from now on.
            self.queue.add_after(key, value)
            self.log.wish(key, now)
        elif step == "burst":
            for _ in range(int(value)):
                self.queue.add(key)
            self.log.wish(key, now)
        elif step == "wait":
            await self.clock.sleep(value)
        else:
            await self._replace_worker(int(value))

    async def _replace_worker(self, index: int) -> None:
        """Cancel a worker; one that had a key in hand asks for another look, as real ones do."""
        held = set(self.log.busy)
        self.workers[index].cancel()
        await asyncio.gather(self.workers[index], return_exceptions=True)
        for abandoned in held - self.log.busy:
            self.queue.add(abandoned)
            self.log.wish(abandoned, self.clock.monotonic())
        self.workers[index] = asyncio.create_task(self._work())


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1000))
def test_every_wish_is_followed_by_a_look(steps: list[tuple[str, str, float]], seed: int) -> None:
    async def scenario(clock: FakeClock) -> None:
        world = World(clock, seed)
        for step in steps:
            await world.do(*step)
        await clock.sleep(600)
        for key, wished in world.log.wished.items():
            assert world.log.started.get(key, -1) >= wished, f"{key} was lost"
        assert len(world.queue) == 0
        assert world.queue.oldest_age() == 0
        for worker in world.workers:
            worker.cancel()
        await asyncio.gather(*world.workers, return_exceptions=True)

    in_fake_time(scenario)


@settings(max_examples=100, deadline=None)
@given(wishes=st.lists(st.tuples(KEYS, SECONDS), min_size=1, max_size=20))
def test_no_delayed_key_comes_early_and_the_first_comes_on_time(
    wishes: list[tuple[str, float]],
) -> None:
    async def scenario(clock: FakeClock) -> None:
        queue = WorkQueue[str](clock, FakeEntropy(0))
        due: dict[str, float] = {}
        for key, seconds in wishes:
            queue.add_after(key, seconds)
            due[key] = min(due.get(key, seconds), seconds)
        for _ in range(len(due)):
            key = await queue.get()
            queue.done(key)
            assert abs(clock.monotonic() - due.pop(key)) < 1e-5
        assert not due

    in_fake_time(scenario)
