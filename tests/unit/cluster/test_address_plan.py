"""Every cluster has addresses of its own, and every node in it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

import pytest
from cluster.addresses import MAX_NODES, RANGE, SLOTS, Addresses
from cluster.slots import is_clear


def networks_of(addresses: Addresses) -> list[IPv4Network]:
    pods = [addresses.pods(index) for index in range(MAX_NODES)]
    return [addresses.machines, addresses.services, *pods]


def test_slots_share_no_address_and_stay_in_the_benchmark_range() -> None:
    networks = [Addresses(slot).network for slot in range(SLOTS)]
    assert all(network.subnet_of(RANGE) for network in networks)
    assert not any(one.overlaps(other) for one, other in combinations(networks, 2))


@pytest.mark.parametrize("slot", [0, 1, 16, SLOTS - 1])
def test_networks_of_a_slot_are_disjoint_and_inside_it(slot: int) -> None:
    addresses = Addresses(slot)
    networks = networks_of(addresses)
    assert all(network.subnet_of(addresses.network) for network in networks)
    assert not any(one.overlaps(other) for one, other in combinations(networks, 2))


def test_machines_have_different_addresses_on_one_network() -> None:
    addresses = Addresses(5)
    nodes = [addresses.node(index) for index in range(MAX_NODES)]
    machines = {addresses.hub, addresses.host, *nodes}
    assert len(machines) == MAX_NODES + 2
    assert all(machine in addresses.machines for machine in machines)


def test_addresses_as_documented() -> None:
    addresses = Addresses(1)
    assert addresses.hub == IPv4Address("198.18.16.1")
    assert addresses.host == IPv4Address("198.18.16.2")
    assert addresses.node(0) == IPv4Address("198.18.16.10")
    assert addresses.pods(0) == IPv4Network("198.18.17.0/24")
    assert addresses.api_service == IPv4Address("198.18.31.1")
    assert addresses.loopback == IPv4Address("127.77.1.1")


@pytest.mark.parametrize(
    ("route", "clear"),
    [
        ("198.18.16.0/20", False),
        ("198.18.20.7/32", False),
        ("198.18.0.0/15", False),
        ("198.18.32.0/20", True),
        ("192.0.2.0/24", True),
        ("0.0.0.0/0", True),
    ],
)
def test_a_slot_that_some_route_leads_into_is_not_used(route: str, clear: bool) -> None:
    assert is_clear(Addresses(1), [IPv4Network(route)]) is clear
