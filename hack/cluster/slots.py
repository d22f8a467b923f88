"""Which slot of the address range a new cluster gets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from contextlib import closing
from ipaddress import IPv4Network

from .addresses import API_PORT, ETCD_PORT, SLOTS, Addresses
from .commands import run
from .errors import PreconditionError


def free_slot(taken: Iterable[int]) -> int:
    """The lowest slot that no cluster of ours has, no route of this host goes to, and no server
    listens in; the caller holds the lock that keeps it free."""
    routes = _routes()
    for slot in sorted(set(range(SLOTS)) - set(taken)):
        if is_clear(Addresses(slot), routes) and not _listens(Addresses(slot)):
            return slot
    raise PreconditionError(f"all {SLOTS} address slots are taken; end a cluster first")


def is_clear(addresses: Addresses, routes: Iterable[IPv4Network]) -> bool:
    """Whether no route leads into the slot; a default route does not count."""
    return not any(route.prefixlen > 0 and route.overlaps(addresses.network) for route in routes)


def _routes() -> list[IPv4Network]:
    found = json.loads(run("ip", "-json", "-4", "route", "show", "table", "all") or "[]")
    texts = (route["dst"] for route in found if route["dst"] != "default")
    return [IPv4Network(text, strict=False) for text in texts]


def _listens(addresses: Addresses) -> bool:
    for port in (ETCD_PORT, API_PORT):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((str(addresses.loopback), port))
            except OSError:
                return True
    return False
