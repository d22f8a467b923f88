"""Which of two releases works, which waits, what it says, and when it takes over."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, Process, calls, fail
from spot_operator.control.client import Json
from spot_operator.control.errors import ApiError, Conflict, Forbidden, NotFound
from spot_operator.control.lease import LostLease
from spot_operator.control.resource import LEASES
from spot_operator.control.watch_claim import Claim, WatchClaim, in_our_way, must_withdraw

HOME = "kube-system"
LIFE = 60.0
ALL: frozenset[str] = frozenset()


class Release(Process):
    """A release of one replica that works while it may."""

    def __init__(self, server: FakeApiServer, holder: str, *watches: str) -> None:
        super().__init__(holder, server)
        self.claim = WatchClaim(
            self.client, self.clock, HOME, Claim(holder, frozenset(watches)), LIFE
        )
        self.lost: list[str] = []
        self.spawn(self._live())

    async def _live(self) -> None:
        while True:
            await self.claim.take()
            try:
                await self.claim.hold()
            except LostLease as lost:
                self.lost.append(str(lost))


def works(release: Release) -> bool:
    """What a write would ask."""
    return release.claim.holds()


def play(scenario: Callable[[FakeClock, FakeApiServer], Awaitable[None]]) -> None:
    async def main(clock: FakeClock) -> None:
        await scenario(clock, FakeApiServer(clock, FakeEntropy(0)))

    in_fake_time(main)


def lease_of(server: FakeApiServer, holder: str) -> Json:
    return server.get(LEASES, f"spot-training.{holder.replace('/', '.')}", HOME)


@pytest.mark.parametrize(
    ("ours", "theirs", "clash"),
    [
        (ALL, ALL, True),
        (ALL, {"a"}, True),
        ({"a"}, ALL, True),
        ({"a"}, {"a"}, True),
        ({"a", "b"}, {"b", "c"}, True),
        ({"a"}, {"b"}, False),
        ({"a", "b"}, {"c", "d"}, False),
    ],
)
def test_who_is_in_whose_way(ours: set[str], theirs: set[str], clash: bool) -> None:
    one, other = Claim("x/one", frozenset(ours)), Claim("y/two", frozenset(theirs))
    assert bool(in_our_way(one, [other])) is clash
    assert bool(in_our_way(other, [one])) is clash
    assert in_our_way(one, [Claim("x/one", ALL)]) == []


@pytest.mark.parametrize(
    ("held", "holder", "withdraws"),
    [(True, "z/late", True), (False, "a/early", True), (False, "z/late", False)],
)
def test_of_two_candidates_one_gives_way(held: bool, holder: str, withdraws: bool) -> None:
    assert must_withdraw(Claim("m/ours", ALL), [Claim(holder, ALL, held=held)]) is withdraws


def test_the_second_release_waits_says_so_and_takes_over_from_a_dead_one() -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        first = Release(server, "ml/spot")
        await clock.sleep(2)
        second = Release(server, "research/spot", "team")
        await clock.sleep(200)
        assert (works(first), works(second)) == (True, False)
        assert "the release ml/spot already watches team" in second.claim.trouble
        assert "watchNamespaces" in second.claim.trouble
        assert [one["metadata"]["name"] for one in server.objects(LEASES, HOME)] == [
            "spot-training.ml.spot"
        ], "one that waits writes nothing"

        await first.kill()
        await clock.sleep(LIFE * 0.6)
        assert not works(second), "its claim has not run out yet"
        await clock.sleep(LIFE)
        assert works(second)
        assert second.claim.trouble == ""

    play(scenario)


@pytest.mark.parametrize("leaves", ["withdrawn", "deleted"])
def test_it_takes_over_when_the_other_is_uninstalled(leaves: str) -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        first, second = Release(server, "a/spot"), None
        await clock.sleep(2)
        second = Release(server, "b/spot")
        await clock.sleep(10)
        await first.kill()
        if leaves == "deleted":
            server.delete(LEASES, "spot-training.a.spot", namespace=HOME)
            await clock.sleep(LIFE + 10)
        else:
            lease = lease_of(server, "a/spot")
            server.replace(LEASES, {**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
            await clock.sleep(10)
        assert works(second)

    play(scenario)


def test_releases_with_namespaces_of_their_own_work_side_by_side() -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        releases = [Release(server, "a/spot", "one", "two"), Release(server, "b/spot", "three")]
        await clock.sleep(5)
        assert all(works(one) for one in releases)
        assert lease_of(server, "a/spot")["metadata"]["annotations"] == {
            "spottraining.dev/claim": "Held",
            "spottraining.dev/watches": "one,two",
        }

    play(scenario)


def test_two_that_start_at_the_same_moment_end_with_one() -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        releases = [Release(server, f"{name}/spot") for name in "cab"]
        for _ in range(120):
            assert sum(works(one) for one in releases) <= 1
            await clock.sleep(0.25)
        assert sum(works(one) for one in releases) == 1

    play(scenario)


def test_the_next_leader_of_the_same_release_goes_on_at_once() -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        old = Release(server, "a/spot", "one")
        await clock.sleep(2)
        await old.kill()
        new = Release(server, "a/spot", "one", "two")
        await clock.sleep(2)
        assert works(new)
        notes = lease_of(server, "a/spot")["metadata"]["annotations"]
        assert notes["spottraining.dev/watches"] == "one,two"

    play(scenario)


def test_without_rights_nothing_is_done_and_the_role_is_named() -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        release = Release(server, "a/spot")
        release.client.faults.on(calls("list"), before=fail(Forbidden("leases is forbidden")))
        await clock.sleep(300)
        assert not works(release)
        assert "the chart's Role" in release.claim.trouble
        release.client.faults.clear()
        await clock.sleep(6)
        assert works(release)

    play(scenario)


@pytest.mark.parametrize("deed", ["deleted", "taken"])
def test_a_claim_that_somebody_else_changed_is_lost(deed: str) -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        release = Release(server, "a/spot")
        await clock.sleep(2)
        lease = lease_of(server, "a/spot")
        if deed == "deleted":
            server.delete(LEASES, lease["metadata"]["name"], namespace=HOME)
        else:
            server.replace(LEASES, {**lease, "spec": {"holderIdentity": "b/other"}})
        await clock.sleep(LIFE / 3)
        assert len(release.lost) == 1

    play(scenario)


@pytest.mark.parametrize("error", [NotFound("says a webhook"), Conflict("says a webhook")])
def test_a_claim_whose_renewal_is_refused_for_a_while_is_kept_and_asked_for_now_and_then(
    error: ApiError,
) -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        release = Release(server, "a/spot")
        await clock.sleep(LIFE / 3 - 1)
        release.client.faults.on(calls("replace", LEASES), before=fail(error))
        asked = server.traffic.total()
        await clock.sleep(LIFE / 3)
        assert server.traffic.total() - asked <= 2 * LIFE / 3
        release.client.faults.clear()
        await clock.sleep(LIFE)
        assert works(release)
        assert release.lost == []

    play(scenario)


def test_a_label_that_somebody_put_on_the_claim_costs_nothing() -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        release = Release(server, "a/spot")
        await clock.sleep(2)
        for note in ("x", "y"):
            patch: Json = {"metadata": {"labels": {"team": note}}}
            server.patch(LEASES, "spot-training.a.spot", patch, namespace=HOME)
            await clock.sleep(LIFE)
        assert works(release)
        assert release.lost == []

    play(scenario)


def test_one_that_stands_by_only_looks() -> None:
    async def scenario(clock: FakeClock, server: FakeApiServer) -> None:
        Release(server, "a/spot")
        await clock.sleep(2)
        standby = WatchClaim(
            Process("standby", server).client, clock, HOME, Claim("b/spot", ALL), LIFE
        )
        looking = asyncio.get_running_loop().create_task(standby.look_out())
        await clock.sleep(20)
        assert "a/spot already watches every namespace" in standby.trouble
        assert len(server.objects(LEASES, HOME)) == 1
        looking.cancel()

    play(scenario)
