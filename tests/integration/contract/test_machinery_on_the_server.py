"""The machinery itself on either server: what it writes is accepted, what it reads is right."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from integration.contract.world import WIDGETS, Api
from spot_operator.control.clock import SystemClock, SystemEntropy
from spot_operator.control.endpoints import ServiceAddress, publish, withdraw
from spot_operator.control.events import EventRecorder, Note, reference
from spot_operator.control.informer import Informer
from spot_operator.control.lease import LeaderLease, LeaseTimes, LostLease
from spot_operator.control.resource import ENDPOINTSLICES, EVENTS, LEASES

QUICK = LeaseTimes(lease=1.5, renew_deadline=1.0, retry=0.1)


async def until(condition: Callable[[], bool], *, within: float = 15) -> None:
    """Return when `condition` holds; fail after `within` seconds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the condition is the server's
            await asyncio.sleep(0.02)


@asynccontextmanager
async def following(api: Api) -> AsyncIterator[Informer]:
    """An informer on the widgets of the namespace, synchronised."""
    informer = Informer(
        api.client,
        WIDGETS,
        SystemClock(),
        SystemEntropy(),
        namespace=api.namespace,
        label_selector="seen=yes",
    )
    running = asyncio.create_task(informer.run())
    try:
        await until(informer.synced.is_set)
        yield informer
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def a_lease(api: Api, name: str) -> LeaderLease:
    return LeaderLease(
        api.client,
        SystemClock(),
        SystemEntropy(),
        namespace=api.namespace,
        lease="leader",
        name=name,
        times=QUICK,
    )


async def test_an_informer_follows_births_changes_and_deaths(api: Api) -> None:
    before = await api.widget("before", labels={"seen": "yes"})
    async with following(api) as informer:
        assert informer.items() == [before]
        made = await api.widget("one", labels={"seen": "yes"}, spec={"size": 1})
        await until(lambda: informer.named("one", api.namespace) == made)
        changed = await api.client.replace(WIDGETS, {**made, "spec": {"size": 2}})
        await until(lambda: informer.get(made["metadata"]["uid"]) == changed)
        await api.client.delete(WIDGETS, "one", namespace=api.namespace)
        await until(lambda: informer.items() == [before])
        assert informer.error is None


async def test_one_of_two_candidates_leads_and_hands_over(api: Api) -> None:
    first, second = a_lease(api, "first"), a_lease(api, "second")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(2)  # longer than the lease: renewals must have kept it
    assert first.is_leader()
    assert not waiting.done()
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    await first.release()
    await asyncio.wait_for(waiting, 10)
    assert (first.is_leader(), second.is_leader()) == (False, True)
    record = (await api.read(LEASES, "leader"))["spec"]
    assert record["holderIdentity"] == second.identity
    assert record["leaseTransitions"] == 1


async def test_a_dead_leaders_lease_is_taken_when_it_has_run_out(api: Api) -> None:
    dead, heir = a_lease(api, "dead"), a_lease(api, "heir")
    await dead.acquire()
    await asyncio.wait_for(heir.acquire(), 10)
    assert not dead.is_leader()
    with pytest.raises(LostLease):
        await dead.hold()
    assert heir.transitions == 1


async def test_an_event_is_written_and_counted_up(api: Api) -> None:
    made = await api.widget()
    recorder = EventRecorder(
        api.client, SystemClock(), SystemEntropy(), controller="example.com/c", instance="c-0"
    )
    note = Note(reference(made), "Warning", "WentWrong", "because " * 200, "Going")
    for _ in range(3):
        recorder.record(note)
    await recorder.flush()
    assert recorder.dropped == 0
    (event,) = (await api.client.list(EVENTS, namespace=api.namespace)).items
    assert event["regarding"]["uid"] == made["metadata"]["uid"]
    assert event["series"]["count"] == 3


async def test_a_service_leads_where_the_leader_says(api: Api) -> None:
    address = ServiceAddress(
        api.namespace, "reports", "10.0.0.7", 8443, "https", "leader.example.com"
    )
    assert await publish(api.client, address)
    assert not await publish(api.client, address)
    assert await withdraw(api.client, address)
    assert await publish(api.client, address)
    (found,) = (await api.client.list(ENDPOINTSLICES, namespace=api.namespace)).items
    assert [e["addresses"] for e in found["endpoints"]] == [["10.0.0.7"]]
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "reports"
