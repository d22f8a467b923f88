"""pip's configuration of this machine, to hand on to a pip that cannot see it.

The same precedence as pip's: environment, then PIP_CONFIG_FILE, the user's file, the machine's.
Nothing of it is written anywhere.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path

HANDED_ON = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "PIP_TRUSTED_HOST"),
    *("PIP_NO_INDEX", "PIP_DEFAULT_TIMEOUT"),
)
"""By pip's names for its environment; a configuration file says `index-url` for PIP_INDEX_URL."""


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of HANDED_ON that this machine sets."""
    texts = [path.read_text() for path in _files(environ) if path.is_file()]
    settings = settings_in(reversed(texts))
    return settings | {name: environ[name] for name in HANDED_ON if environ.get(name)}


def settings_in(texts: Iterable[str]) -> dict[str, str]:
    """The settings in configuration files' texts, later ones winning; `install` beats `global`."""
    found: dict[str, str] = {}
    for text in texts:
        parser = configparser.RawConfigParser()
        parser.read_string(text)
        for section in ("global", "install"):
            for key, value in parser.items(section) if parser.has_section(section) else ():
                name = f"PIP_{key.upper().replace('-', '_')}"
                if name in HANDED_ON:
                    found[name] = " ".join(value.split())
    return found


def _files(environ: Mapping[str, str]) -> list[Path]:
    """Strongest first."""
    home = Path(environ.get("HOME", "/root"))
    named = environ.get("PIP_CONFIG_FILE")
    user = [home / ".config/pip/pip.conf", home / ".pip/pip.conf"]
    return [*([Path(named)] if named else []), *user, Path("/etc/pip.conf")]
