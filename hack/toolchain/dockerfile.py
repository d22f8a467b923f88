"""What a Dockerfile takes from its context, and which build arguments it declares.

Only what our own Dockerfiles use is understood; anything else is refused rather than guessed,
since a source that is overlooked would be one whose change does not rebuild the image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from .errors import ToolchainError


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(NAME, rest) of each instruction, with continued lines joined and comments dropped."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\s*\n", " ", "\n".join(lines))
    for line in joined.splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def context_sources(text: str) -> list[str]:
    """The paths, relative to the context, that COPY and ADD read, in order, each once."""
    found: list[str] = []
    for name, rest in instructions(text):
        if name not in {"COPY", "ADD"}:
            continue
        flags = re.findall(r"--\S+(?=\s)", rest)
        if any(flag.startswith("--from=") for flag in flags):
            continue
        found.extend(_sources(re.sub(r"^(--\S+\s+)+", "", rest)))
    return list(dict.fromkeys(found))


def declared_arguments(text: str) -> set[str]:
    """The names after ARG; passing others makes the builder warn."""
    rests = [rest for name, rest in instructions(text) if name == "ARG"]
    return {word.partition("=")[0] for rest in rests for word in rest.split()}


def _sources(rest: str) -> list[str]:
    words = json.loads(rest) if rest.startswith("[") else rest.split()
    sources = [str(word).removeprefix("./").rstrip("/") or "." for word in words[:-1]]
    for source in sources:
        if "://" in source or source.startswith(("<<", "/", "..")) or "$" in source:
            raise ToolchainError(f"COPY {source}: name paths inside the repository, plainly")
    return sources
