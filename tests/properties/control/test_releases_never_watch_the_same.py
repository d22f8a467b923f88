"""Never two releases on one namespace, whatever pauses, delays and deletions there are.

While clocks run at rates that differ by less than 1.5 no two overlapping claims are held at any
moment, and when all faults are over every namespace that some release wants is watched by one.
"""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, Process
from kit.fakeapi.misfortunes import befall, end_all
from spot_operator.control.errors import NotFound
from spot_operator.control.lease import LostLease
from spot_operator.control.resource import LEASES
from spot_operator.control.watch_claim import Claim, WatchClaim

TICK = 0.25
LIFE = 24.0
HOME = "kube-system"
WATCHES = st.sampled_from([frozenset[str](), frozenset({"a"}), frozenset({"b"}), frozenset("ab")])
BEGINNINGS = ["pause", "cut", "slow", "slow answers", "unheard", "kill", "deleted"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*BEGINNINGS, "resume", "uncut", "quick"]),
        st.integers(0, 2),
        st.sampled_from([0.0, 0.5, 3.0, 11.0, 17.0, 30.0]),
    ),
    min_size=1,
    max_size=12,
)


class Release:
    """One that wants to work and does while it holds its claim; killed, it starts again."""

    def __init__(
        self, index: int, server: FakeApiServer, watches: frozenset[str], rate: float
    ) -> None:
        self.claimed = Claim(holder=f"home/release-{index}", watches=watches)
        self._server = server
        self._rate = rate
        self._lives = 0
        self.start()

    def start(self) -> None:
        """A new process with empty memory."""
        self._lives += 1
        self.process = Process(
            f"{self.claimed.holder}.{self._lives}", self._server, rate=self._rate
        )
        self.claim = WatchClaim(self.process.client, self.process.clock, HOME, self.claimed, LIFE)
        self.process.spawn(self._live())

    async def _live(self) -> None:
        while True:
            await self.claim.take()
            try:
                await self.claim.hold()
            except LostLease:
                continue

    async def do(self, step: str) -> None:
        """One misfortune, or the end of one."""
        befall(self.process, step)
        if step == "deleted":
            self.delete()
        elif step == "kill":
            await self.process.kill()
            self.start()

    def delete(self) -> None:
        """What an administrator should not do."""
        try:
            self._server.delete(LEASES, self.claim.name, namespace=HOME)
        except NotFound:
            return

    def heal(self) -> None:
        """End all misfortunes."""
        end_all(self.process)


async def passing(clock: FakeClock, seconds: float, releases: list[Release]) -> None:
    """Let time pass; fail if at any moment two work on one namespace."""
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        expect_one_at_most(releases)
        await clock.sleep(TICK)
    expect_one_at_most(releases)


def expect_one_at_most(releases: list[Release]) -> None:
    at_work = [release.claimed for release in releases if release.claim.holds()]
    for number, one in enumerate(at_work):
        clashing = [other.holder for other in at_work[number + 1 :] if one.overlaps(other)]
        assert not clashing, f"{one.holder} works beside {clashing}"


@settings(max_examples=150, deadline=None)
@given(
    watches=st.lists(WATCHES, min_size=3, max_size=3),
    steps=STEPS,
    rates=st.lists(st.sampled_from([0.85, 1.0, 1.15]), min_size=3, max_size=3),
)
@example(watches=[frozenset()] * 3, steps=[("pause", 0, 30.0)], rates=[1.0, 1.0, 1.0])
def test_no_two_work_on_one_namespace_and_in_the_end_somebody_does(
    watches: list[frozenset[str]], steps: list[tuple[str, int, float]], rates: list[float]
) -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy(0))
        releases = [
            Release(index, server, watched, rate)
            for index, (watched, rate) in enumerate(zip(watches, rates, strict=True))
        ]
        await passing(clock, 8, releases)
        for step, who, seconds in steps:
            await releases[who].do(step)
            # One that begins just after another's claim was deleted cannot know of it.
            await passing(clock, LIFE if step == "deleted" else seconds, releases)
        for release in releases:
            release.heal()
        await passing(clock, 6 * LIFE, releases)
        for release in releases:
            at_work = [one.claimed for one in releases if one.claim.holds()]
            assert any(one.overlaps(release.claimed) for one in at_work)
        for release in releases:
            await release.process.kill()

    in_fake_time(scenario)
