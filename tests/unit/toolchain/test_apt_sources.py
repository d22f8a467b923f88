"""The mirror for the base image comes from the machine's own apt configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from toolchain.apt_sources import (
    Source,
    apt_proxy,
    codename_from,
    main_source,
    parse_deb822,
    parse_one_line,
    read_sources,
)
from toolchain.errors import MissingError

MIRROR = "http://mirror.example.org/debian"

ONE_LINE = f"""\
# deb {MIRROR} commented main
deb {MIRROR} bookworm main contrib  # a remark
deb-src {MIRROR} bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://other.example.org/x stable main

"""

DEB822 = f"""\
Types: deb deb-src
# a remark
URIs: {MIRROR}
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/k.gpg

Types: deb-src
URIs: {MIRROR}
Suites: sources-only
Components: main

types: deb
Enabled: no
URIs: {MIRROR}
Suites: switched-off
Components: main

Types: deb
URIs: https://a.example.org https://b.example.org
Suites: flat
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQ: INEBF
"""


def test_one_line_sources_are_read() -> None:
    assert list(parse_one_line(ONE_LINE)) == [
        Source(MIRROR, "bookworm", ("main", "contrib")),
        Source("https://other.example.org/x", "stable", ("main",), "/usr/share/keyrings/k.gpg"),
    ]


def test_deb822_sources_are_read() -> None:
    keyring, components = "/usr/share/keyrings/k.gpg", ("main", "contrib")
    assert list(parse_deb822(DEB822)) == [
        Source(MIRROR, "bookworm", components, keyring),
        Source(MIRROR, "bookworm-updates", components, keyring),
        Source("https://a.example.org", "flat", ()),
        Source("https://b.example.org", "flat", ()),
    ]


def test_a_machines_sources_are_the_list_and_then_the_folder_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (folder / "b.sources").write_text(DEB822)
    (folder / "a.list").write_text("deb https://a-list.example.org bookworm main\n")
    (folder / "c.list.save").write_text("deb https://saved.example.org bookworm main\n")
    uris = [source.uri for source in read_sources(tmp_path) if source.suite == "bookworm"]
    assert uris == [MIRROR, "https://a-list.example.org", MIRROR]


def test_a_machine_without_sources_has_none(tmp_path: Path) -> None:
    assert read_sources(tmp_path) == []


@pytest.mark.parametrize(
    "unusable",
    [
        Source(MIRROR, "bookworm-updates", ("main",)),
        Source(MIRROR, "bookworm", ("contrib",)),
        Source("cdrom:[Debian]/", "bookworm", ("main",)),
        Source("mirror+file:/etc/apt/mirrors.txt", "bookworm", ("main",)),
    ],
)
def test_only_a_fetchable_main_of_the_same_suite_will_do(unusable: Source) -> None:
    good = Source(MIRROR, "bookworm", ("main",))
    assert main_source([unusable, good], "bookworm") == good
    with pytest.raises(MissingError, match=r"source for bookworm/main; add one to /etc/apt"):
        main_source([unusable], "bookworm")


def test_the_codename_comes_from_os_release() -> None:
    assert codename_from('ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID="12"\n') == "bookworm"
    assert codename_from('VERSION_CODENAME="noble"\n') == "noble"
    with pytest.raises(MissingError, match="VERSION_CODENAME"):
        codename_from("ID=alpine\n")


@pytest.mark.parametrize(
    ("dump", "proxy"),
    [
        (
            'Acquire::http::Proxy "http://proxy.example.org:3128";\n',
            "http://proxy.example.org:3128",
        ),
        ('Acquire::http::proxy "http://p:1/";\nAPT::X "1";\n', "http://p:1/"),
        ('Acquire::http::Proxy "DIRECT";\n', ""),
        ('Acquire::http::Proxy::local.example.org "DIRECT";\n', ""),
        ('APT::Architecture "amd64";\n', ""),
    ],
)
def test_apts_proxy_is_found(dump: str, proxy: str) -> None:
    assert apt_proxy(dump) == proxy
