"""Where a Service without a selector leads."""

from dataclasses import replace

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, FakeClient, calls, run
from spot_operator.control.client import Json
from spot_operator.control.endpoints import ServiceAddress, publish, withdraw
from spot_operator.control.resource import ENDPOINTSLICES

OURS = ServiceAddress("default", "reports", "10.0.0.7", 8443, "https", "leader.example.com")


def a_world(clock: FakeClock) -> tuple[FakeApiServer, FakeClient]:
    server = FakeApiServer(clock, FakeEntropy())
    return server, FakeClient(server)


def expect_addresses(server: FakeApiServer, *addresses: str) -> None:
    """Fail unless the Service leads exactly there."""
    slices = server.objects(ENDPOINTSLICES)
    found = [a for s in slices for e in s["endpoints"] for a in e["addresses"]]
    assert found == list(addresses)


def test_the_first_leader_makes_the_slice_and_the_next_changes_it() -> None:
    async def scenario(clock: FakeClock) -> None:
        server, client = a_world(clock)
        assert await publish(client, OURS)
        expect_addresses(server, "10.0.0.7")
        assert await publish(client, replace(OURS, address="10.0.0.8"))
        expect_addresses(server, "10.0.0.8")
        (only,) = server.objects(ENDPOINTSLICES)
        assert only["metadata"]["labels"]["kubernetes.io/service-name"] == "reports"
        assert only["ports"] == [{"name": "https", "port": 8443, "protocol": "TCP"}]

    in_fake_time(scenario)


@pytest.mark.parametrize("former", ["10.0.0.6", "fd00::6"])
def test_a_leader_of_the_other_family_leaves_nothing_behind(former: str) -> None:
    """A former leader that was killed withdrew nothing."""

    async def scenario(clock: FakeClock) -> None:
        server, client = a_world(clock)
        await publish(client, replace(OURS, address=former))
        now = replace(OURS, address="fd00::7" if "." in former else "10.0.0.7")
        assert await publish(client, now)
        expect_addresses(server, now.address)
        assert not await publish(client, now)

    in_fake_time(scenario)


def test_publishing_what_stands_there_writes_nothing() -> None:
    async def scenario(clock: FakeClock) -> None:
        server, client = a_world(clock)
        await publish(client, OURS)
        before = server.storage.number
        assert not await publish(client, OURS)
        assert server.storage.number == before

    in_fake_time(scenario)


STRAYS: dict[str, Json] = {
    "leads elsewhere": {"endpoints": [{"addresses": ["10.9.9.9"]}], "ports": None},
    "emptied": {"endpoints": []},
    "not ready": {"endpoints": [{"addresses": ["10.0.0.7"], "conditions": {"ready": False}}]},
    "another port": {"ports": [{"name": "https", "port": 1, "protocol": "TCP"}]},
    "of no service": {"metadata": {"labels": {"kubernetes.io/service-name": None}}},
    "of another manager": {
        "metadata": {
            "labels": {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
        }
    },
}


@pytest.mark.parametrize("stray", STRAYS)
def test_what_others_changed_is_put_right(stray: str) -> None:
    async def scenario(clock: FakeClock) -> None:
        server, client = a_world(clock)
        await publish(client, OURS)
        server.patch(ENDPOINTSLICES, OURS.name, STRAYS[stray], namespace="default")
        assert await publish(client, OURS)
        (found,) = server.objects(ENDPOINTSLICES)
        for part, wanted in OURS.rendered().items():
            assert part == "metadata" or found[part] == wanted
        assert found["metadata"]["labels"] == OURS.rendered()["metadata"]["labels"]
        assert not await publish(client, OURS)

    in_fake_time(scenario)


def test_a_change_in_between_is_looked_at_again() -> None:
    async def scenario(clock: FakeClock) -> None:
        server, client = a_world(clock)
        await publish(client, OURS)

        def meddle() -> None:
            touched: Json = {"metadata": {"labels": {"touched": "yes"}}}
            server.patch(ENDPOINTSLICES, OURS.name, touched, namespace="default")

        client.faults.on(calls("replace"), before=run(meddle), times=1)
        await publish(client, replace(OURS, address="10.0.0.8"))
        expect_addresses(server, "10.0.0.8")

    in_fake_time(scenario)


def test_the_address_family_has_a_slice_of_its_own() -> None:
    async def scenario(clock: FakeClock) -> None:
        server, client = a_world(clock)
        six = replace(OURS, address="fd00::7")
        await publish(client, six)
        (only,) = server.objects(ENDPOINTSLICES)
        assert (only["addressType"], six.name) == ("IPv6", "reports-ipv6")

    in_fake_time(scenario)


def test_only_our_own_address_is_withdrawn() -> None:
    async def scenario(clock: FakeClock) -> None:
        server, client = a_world(clock)
        assert not await withdraw(client, OURS)
        await publish(client, OURS)
        successor = replace(OURS, address="10.0.0.8")
        assert not await withdraw(client, successor)
        expect_addresses(server, "10.0.0.7")
        assert await withdraw(client, OURS)
        expect_addresses(server)

    in_fake_time(scenario)
