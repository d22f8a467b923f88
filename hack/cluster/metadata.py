"""The EC2 instance metadata service of a spot node, played by amazon-ec2-metadata-mock.

It listens on the true link-local address, inside the node's network namespace only. It takes its
notices as flags, so announcing one means starting it again; its session tokens are lost then, as
the real service's are now and then.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from .machine import Service
from .network import METADATA_ADDRESS
from .pools import INSTANCE_TYPE, REGION, NodeSpec

SERVICE = "ec2-metadata-mock"
NEVER = 10 * 365 * 24 * 3600
"""Seconds from its start until the mock speaks by itself: until then it answers 404."""

Action = Literal["terminate", "stop", "hibernate"]


@dataclass(frozen=True)
class Notice:
    """What the metadata service announces: the action at that time, in UTC and whole seconds."""

    deadline: datetime
    action: Action = "terminate"


@dataclass(frozen=True)
class Rebalance:
    """A rebalance recommendation: an elevated risk and no deadline."""

    noticed: datetime


Announced = Notice | Rebalance | None


def service(disk: Path, announced: Announced) -> Service:
    """The mock, announcing this. IMDSv2 only, and to every client (its default is two)."""
    flags = ["--imdsv2", "--mock-ip-count", "-1", "-n", METADATA_ADDRESS, "-p", "80"]
    flags += ["--config-file", str(config_file(disk))]
    if not isinstance(announced, Notice):
        flags += ["--mock-delay-sec", str(NEVER)]
    if not isinstance(announced, Rebalance):
        flags += ["--rebalance-delay-sec", str(NEVER)]
    return Service(name=SERVICE, argv=(SERVICE, "spot", *_what(announced), *flags))


def _what(announced: Announced) -> list[str]:
    if isinstance(announced, Notice):
        # Without a fixed time the mock's deadline is two minutes after each question.
        return ["--action", announced.action, "--time", rfc3339(announced.deadline)]
    if isinstance(announced, Rebalance):
        return ["--rebalance-rec-time", rfc3339(announced.noticed)]
    return []


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def config_file(disk: Path) -> Path:
    return disk / "metadata.json"


def config(node: NodeSpec, address: IPv4Address, boot: str) -> str:
    """Who the instance is. A new boot is a new instance, as with a spot node that comes back."""
    values = {
        "instance-id": "i-" + boot.replace("-", "")[:17],
        "instance-type": INSTANCE_TYPE,
        "instance-life-cycle": node.capacity,
        "local-ipv4": str(address),
        "placement-availability-zone": node.zone,
        "placement-region": REGION,
    }
    return json.dumps({"metadata": {"values": values}}, indent=1)


def listens(tcp_table: str) -> bool:
    """Whether the text of a namespace's /proc/net/tcp has the service listening.

    This is how the host knows: it never asks that address itself.
    """
    address = IPv4Address(METADATA_ADDRESS).packed[::-1].hex().upper()
    rows = (line.split() for line in tcp_table.splitlines()[1:])
    return any(row[1] == f"{address}:0050" and row[3] == "0A" for row in rows)
