"""Which Debian mirror this machine uses, from its apt configuration (sources.list(5)).

Both formats are read: one line per source (`*.list`) and deb822 stanzas (`*.sources`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import MissingError

_ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)"
)


@dataclass(frozen=True)
class Source:
    """One archive of binary packages; `keyring` is a path or empty for apt's own keys."""

    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: str = ""


def parse_one_line(text: str) -> Iterator[Source]:
    """The sources of a `*.list` file; `deb-src`, comments and `deb cdrom:` are no use to us."""
    for raw in text.splitlines():
        found = _ONE_LINE.fullmatch(raw.split("#", 1)[0].strip())
        if found is None:
            continue
        keyring = re.search(r"signed-by=(\S+)", found["options"] or "")
        components = tuple(found["components"].split())
        yield Source(found["uri"], found["suite"], components, keyring[1] if keyring else "")


def parse_deb822(text: str) -> Iterator[Source]:
    """The sources of a `*.sources` file, one for each pair of URI and suite."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        # Signed-By may hold the key itself instead of a path; debootstrap wants a path.
        signed_by = fields.get("signed-by", "")
        keyring = signed_by if signed_by.startswith("/") else ""
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, components, keyring)


def read_sources(apt: Path = Path("/etc/apt")) -> list[Source]:
    """All sources of the machine, `sources.list` first, then `sources.list.d` by name."""
    found: list[Source] = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix not in {".list", ".sources"} or not path.is_file():
            continue
        parse = parse_one_line if path.suffix == ".list" else parse_deb822
        found.extend(parse(path.read_text()))
    return found


def main_source(sources: Iterable[Source], codename: str) -> Source:
    """The source that debootstrap can build `codename` from. Raises MissingError without one."""
    for source in sources:
        usable = source.uri.startswith(("http://", "https://", "file:"))
        if source.suite == codename and "main" in source.components and usable:
            return source
    raise MissingError(
        f"apt on this machine has no http, https or file source for {codename}/main; add one to "
        "/etc/apt/sources.list.d"
    )


def codename_from(os_release: str) -> str:
    """VERSION_CODENAME of an os-release text. Raises MissingError when it has none."""
    found = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', os_release, re.MULTILINE)
    if found is None:
        raise MissingError("/etc/os-release names no VERSION_CODENAME: the base image needs Debian")
    return found.group(1)


def apt_proxy(dump: str) -> str:
    """The proxy for plain http in `apt-config dump`'s output, or nothing."""
    found = re.search(r'^Acquire::http::Proxy "([^"]+)";$', dump, re.MULTILINE | re.IGNORECASE)
    return found.group(1) if found and found.group(1) != "DIRECT" else ""


def _fields(stanza: str) -> dict[str, str]:
    """Names are case-insensitive; a line that begins with a space continues the one before."""
    fields: dict[str, str] = {}
    name = ""
    for raw in stanza.splitlines():
        if raw.startswith("#"):
            continue
        if raw[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {raw.strip()}".strip()
        elif ":" in raw:
            name, value = raw.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields
