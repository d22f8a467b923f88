"""The metadata service is started so that it says exactly what was asked, to everyone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address
from pathlib import Path

from cluster import NodeSpec
from cluster.metadata import NEVER, Announced, Notice, Rebalance, config, listens, service

AT = datetime(2026, 5, 1, 12, 0, 7, tzinfo=UTC)
HEADER = "  sl  local_address rem_address   st"


def flags(announced: Announced) -> dict[str, str]:
    argv = service(Path("/etc"), announced).argv
    named = [index for index, part in enumerate(argv) if part.startswith("-") and part != "-1"]
    return {argv[index]: "".join(argv[index + 1 : index + 2]) for index in named}


def test_without_a_notice_it_says_nothing_for_years() -> None:
    found = flags(None)
    assert found["--mock-delay-sec"] == found["--rebalance-delay-sec"] == str(NEVER)


def test_a_notice_has_a_fixed_deadline_and_comes_at_once() -> None:
    found = flags(Notice(AT))
    assert found["--time"] == "2026-05-01T12:00:07Z"
    assert found["--action"] == "terminate"
    assert "--mock-delay-sec" not in found
    assert found["--rebalance-delay-sec"] == str(NEVER)


def test_deadlines_are_given_in_utc() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5)))
    assert flags(Notice(elsewhere))["--time"] == "2026-05-01T12:00:07Z"


def test_a_rebalance_recommendation_is_no_notice() -> None:
    found = flags(Rebalance(AT))
    assert found["--rebalance-rec-time"] == "2026-05-01T12:00:07Z"
    assert found["--mock-delay-sec"] == str(NEVER)


def test_every_client_is_told_and_needs_a_token() -> None:
    found = flags(Notice(AT))
    assert found["--mock-ip-count"] == "-1"
    assert "--imdsv2" in found
    assert (found["-n"], found["-p"]) == ("169.254.169.254", "80")


def test_a_new_boot_is_a_new_instance() -> None:
    node = NodeSpec("spot-a", 0)
    ids = {
        json.loads(config(node, IPv4Address("198.18.0.10"), boot))["metadata"]["values"][
            "instance-id"
        ]
        for boot in ("11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555")
    }
    assert len(ids) == 2


def test_listening_is_read_from_the_kernels_table() -> None:
    row = "   0: FEA9FEA9:0050 00000000:0000 {state} 00000000:00000000 00:00000000"
    assert listens(f"{HEADER}\n{row.format(state='0A')}")
    assert not listens(f"{HEADER}\n{row.format(state='01')}")
    assert not listens(f"{HEADER}\n   0: 0100007F:0050 00000000:0000 0A 0:0 0:0")
    assert not listens(HEADER)
