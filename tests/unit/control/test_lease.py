"""Leadership: taken, kept, lost, handed over."""

import asyncio
from itertools import pairwise

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time, settle
from kit.fakeapi import FakeApiServer, Process, calls, delay, fail
from spot_operator.control.client import Json
from spot_operator.control.errors import Unavailable
from spot_operator.control.lease import LeaderLease, LeaseTimes, LostLease
from spot_operator.control.resource import LEASES


class Replica(Process):
    """A process that wants to lead, and goes on as long as it does."""

    def __init__(self, name: str, server: FakeApiServer, times: LeaseTimes | None = None) -> None:
        super().__init__(name, server)
        self.lease = LeaderLease(
            self.client,
            self.clock,
            self.entropy,
            namespace="default",
            lease="leader",
            name=name,
            times=times,
        )
        self.lost: list[str] = []

    def start(self) -> None:
        """Campaign, lead, and campaign again when the lease is lost."""
        self.spawn(self._live())

    async def _live(self) -> None:
        while True:
            await self.lease.acquire()
            try:
                await self.lease.hold()
            except LostLease as lost:
                self.lost.append(str(lost))

    @property
    def leads(self) -> bool:
        """What a write would ask."""
        return self.lease.is_leader()


def a_server(clock: FakeClock) -> FakeApiServer:
    return FakeApiServer(clock, FakeEntropy())


def the_lease(server: FakeApiServer) -> Json:
    spec: Json = server.get(LEASES, "leader", "default")["spec"]
    return spec


async def leads_in(replica: Replica, seconds: float) -> bool:
    """Whether it leads so much later."""
    await replica.clock.sleep(seconds)
    return replica.leads


def test_the_first_to_come_leads_and_the_record_says_who() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        first, second = Replica("a", server), Replica("b", server)
        first.start()
        await clock.sleep(1)
        second.start()
        await clock.sleep(120)
        assert (first.leads, second.leads) == (True, False)
        record = the_lease(server)
        assert record["holderIdentity"] == first.lease.identity == second.lease.holder
        assert record["leaseDurationSeconds"] == 15
        assert record["leaseTransitions"] == 0
        assert record["renewTime"] > record["acquireTime"]

    in_fake_time(scenario)


def test_when_the_leader_dies_another_leads_after_the_lease_has_run_out() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        first, second = Replica("a", server), Replica("b", server)
        first.start()
        await clock.sleep(1)
        second.start()
        await clock.sleep(60)
        await first.kill()
        led_after = [await leads_in(second, seconds) for seconds in (14, 6)]
        assert led_after == [False, True]
        assert the_lease(server)["leaseTransitions"] == 1

    in_fake_time(scenario)


def test_a_leader_that_stops_in_order_hands_over_at_once() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        first, second = Replica("a", server), Replica("b", server)
        first.start()
        await clock.sleep(1)
        second.start()
        await clock.sleep(60)
        await first.lease.release()
        assert not first.leads
        await clock.sleep(3)
        assert second.leads or first.leads
        assert the_lease(server)["holderIdentity"] != ""

    in_fake_time(scenario)


def test_leadership_ends_at_the_deadline_when_the_server_is_away() -> None:
    async def scenario(clock: FakeClock) -> None:
        replica = Replica("a", a_server(clock))
        replica.start()
        await clock.sleep(60)
        replica.client.faults.cut = True
        led_after = [await leads_in(replica, seconds) for seconds in (7.9, 2.2)]
        assert led_after == [True, False]
        assert replica.lost == ["not renewed within 10 s"]

    in_fake_time(scenario)


def test_a_short_absence_of_the_server_costs_nothing() -> None:
    async def scenario(clock: FakeClock) -> None:
        replica = Replica("a", a_server(clock))
        replica.start()
        await clock.sleep(60)
        replica.client.faults.on(calls("replace"), before=fail(Unavailable("reset")), times=3)
        for _ in range(300):
            await clock.sleep(0.1)
            assert replica.leads
        assert replica.lost == []

    in_fake_time(scenario)


def test_a_process_stopped_beyond_the_deadline_does_not_lead_when_it_wakes() -> None:
    async def scenario(clock: FakeClock) -> None:
        replica = Replica("a", a_server(clock))
        replica.start()
        await clock.sleep(60)
        replica.pause()
        await clock.sleep(11)
        assert not replica.leads
        replica.resume()
        assert not replica.leads
        await settle()
        assert len(replica.lost) == 1
        await clock.sleep(5)
        assert replica.leads

    in_fake_time(scenario)


def test_a_renewal_that_answers_too_late_does_not_bring_leadership_back() -> None:
    async def scenario(clock: FakeClock) -> None:
        replica = Replica("a", a_server(clock))
        replica.start()
        await clock.sleep(60)
        slow = delay(clock, 10.5)
        replica.client.faults.on(calls("replace"), after=slow, times=1)
        led: list[bool] = []
        for _ in range(150):
            await clock.sleep(0.1)
            led.append(replica.leads)
        changes = [now for before, now in pairwise(led) if before != now]
        assert changes == [False, True]
        assert len(replica.lost) == 1

    in_fake_time(scenario)


def test_a_slow_answer_does_not_prolong_leadership() -> None:
    async def scenario(clock: FakeClock) -> None:
        replica = Replica("a", a_server(clock))
        replica.start()
        await clock.sleep(59)
        replica.client.faults.on(calls("replace"), after=delay(clock, 5), times=1)
        await clock.sleep(7)  # sent at 60, answered at 65
        replica.client.faults.cut = True
        led_after = [await leads_in(replica, seconds) for seconds in (3.5, 1)]
        assert led_after == [True, False]

    in_fake_time(scenario)


def test_a_lease_taken_by_another_is_lost_at_the_next_renewal() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        replica = Replica("a", server)
        replica.start()
        await clock.sleep(60)
        patch: Json = {"spec": {"holderIdentity": "an administrator"}}
        server.patch(LEASES, "leader", patch, namespace="default")
        await clock.sleep(2.1)
        assert not replica.leads
        assert replica.lost == ["the lease is held by an administrator"]

    in_fake_time(scenario)


def test_a_touch_that_leaves_the_holder_alone_costs_nothing() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        replica = Replica("a", server)
        replica.start()
        for number in range(30):
            await clock.sleep(1)
            labels: Json = {"metadata": {"labels": {"touched": str(number)}}}
            server.patch(LEASES, "leader", labels, namespace="default")
        assert replica.leads
        assert replica.lost == []

    in_fake_time(scenario)


def test_a_deleted_lease_is_given_up_before_it_is_taken_again() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        first, second = Replica("a", server), Replica("b", server)
        first.start()
        await clock.sleep(1)
        second.start()
        await clock.sleep(60)
        server.delete(LEASES, "leader", namespace="default")
        for _ in range(300):
            await clock.sleep(0.1)
            assert not (first.leads and second.leads)
        assert first.leads or second.leads

    in_fake_time(scenario)


def test_the_longer_of_two_durations_is_respected() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        slow = Replica("slow", server, LeaseTimes(lease=60, renew_deadline=40, retry=5))
        quick = Replica("quick", server)
        slow.start()
        await clock.sleep(1)
        quick.start()
        await clock.sleep(100)
        await slow.kill()
        led_after = [await leads_in(quick, seconds) for seconds in (50, 20)]
        assert led_after == [False, True]

    in_fake_time(scenario)


def test_a_taken_lease_whose_answer_was_lost_is_ours_at_the_next_try() -> None:
    async def scenario(clock: FakeClock) -> None:
        replica = Replica("a", a_server(clock))
        replica.client.faults.on(calls("create"), after=fail(Unavailable("reset")), times=1)
        replica.start()
        await clock.sleep(3)
        assert replica.leads

    in_fake_time(scenario)


def test_a_restarted_process_is_another_one() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        first = Replica("a", server)
        again = LeaderLease(
            first.client, clock, FakeEntropy(9), namespace="default", lease="leader", name="a"
        )
        assert again.identity != first.lease.identity

    in_fake_time(scenario)


def test_a_release_that_cannot_be_told_is_still_a_release() -> None:
    async def scenario(clock: FakeClock) -> None:
        replica = Replica("a", a_server(clock))
        await replica.lease.acquire()
        replica.client.faults.cut = True
        await replica.lease.release()
        assert not replica.leads
        assert clock.monotonic() <= 2

    in_fake_time(scenario)


def test_stopping_to_hold_stops_to_lead() -> None:
    async def scenario(clock: FakeClock) -> None:
        replica = Replica("a", a_server(clock))
        await replica.lease.acquire()
        holding = asyncio.create_task(replica.lease.hold())
        await clock.sleep(5)
        assert replica.leads
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        assert not replica.leads

    in_fake_time(scenario)


@pytest.mark.parametrize("times", [(15, 15, 2), (15, 10, 10), (10, 15, 2), (15, 10, 0)])
def test_times_on_which_safety_cannot_rest_are_refused(times: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="renew deadline < lease"):
        LeaseTimes(*times)
