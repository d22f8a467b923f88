"""Never two leaders, whatever pauses, delays and wrong clocks there are: the bound of `lease`.

Stated exactly: while monotonic clocks run at rates that differ by less than a factor of
`lease / renew_deadline` (1.5 here; 0.85 to 1.15), no two processes answer `is_leader()`
with yes at any moment, paused ones included. And when all faults are over, one leads within the
time of one lease and a few retries.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, Process
from kit.fakeapi.misfortunes import befall, end_all
from spot_operator.control.lease import LeaderLease, LostLease

REPLICAS = 3
TICK = 0.25
THE_LEADER = REPLICAS
WHO = st.one_of(st.just(THE_LEADER), st.integers(0, REPLICAS - 1))
BEGINNINGS = ["pause", "cut", "slow", "slow answers", "unheard", "release", "kill"]
ENDS = ["resume", "uncut", "quick"]
MISHAPS = st.sampled_from([*BEGINNINGS, *ENDS])
THEN_WAIT = st.sampled_from([0.0, 1.0, 4.0, 9.0, 14.0, 20.0])
STEPS = st.lists(st.tuples(MISHAPS, WHO, THEN_WAIT), min_size=2, max_size=15)


class Replica:
    """A process that campaigns whenever it does not lead; killed ones start again."""

    def __init__(self, index: int, server: FakeApiServer, rate: float) -> None:
        self._index = index
        self._server = server
        self._rate = rate
        self._lives = 0
        self.start()

    def start(self) -> None:
        """A new process with empty memory."""
        self._lives += 1
        self.process = Process(
            f"replica-{self._index}.{self._lives}", self._server, rate=self._rate
        )
        self.lease = LeaderLease(
            self.process.client,
            self.process.clock,
            self.process.entropy,
            namespace="default",
            lease="leader",
            name=self.process.name,
        )
        self.process.spawn(self._live())

    async def _live(self) -> None:
        while True:
            await self.lease.acquire()
            try:
                await self.lease.hold()
            except LostLease:
                continue

    async def do(self, step: str) -> None:
        """One misfortune, or the end of one."""
        befall(self.process, step)
        if step == "release" and not self.process.paused:
            await self.lease.release()
        elif step == "kill":
            await self.process.kill()
            self.start()

    def heal(self) -> None:
        """End all misfortunes."""
        end_all(self.process)


def chosen(replicas: list[Replica], who: int) -> Replica:
    """By number, or whoever leads (the last one if nobody does)."""
    if who != THE_LEADER:
        return replicas[who]
    return next((each for each in replicas if each.lease.is_leader()), replicas[-1])


async def passing(clock: FakeClock, seconds: float, replicas: list[Replica]) -> None:
    """Let time pass; fail if at any moment two lead."""
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        expect_one_leader_at_most(replicas)
        await clock.sleep(TICK)
    expect_one_leader_at_most(replicas)


def expect_one_leader_at_most(replicas: list[Replica]) -> None:
    leaders = [replica.process.name for replica in replicas if replica.lease.is_leader()]
    assert len(leaders) <= 1, f"{leaders} lead at once"


@settings(max_examples=200, deadline=None)
@given(
    steps=STEPS,
    rates=st.lists(st.sampled_from([0.85, 1.0, 1.15]), min_size=REPLICAS, max_size=REPLICAS),
)
def test_no_two_lead_at_once_and_in_the_end_one_does(
    steps: list[tuple[str, int, float]], rates: list[float]
) -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy(0))
        replicas = [Replica(index, server, rate) for index, rate in enumerate(rates)]
        await passing(clock, 5, replicas)
        for step, who, seconds in steps:
            await chosen(replicas, who).do(step)
            await passing(clock, seconds, replicas)
        for replica in replicas:
            replica.heal()
        await passing(clock, 45, replicas)
        assert any(replica.lease.is_leader() for replica in replicas)
        for replica in replicas:
            await replica.process.kill()

    in_fake_time(scenario)
