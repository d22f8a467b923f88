"""The commands that documents and messages name, and what each program says it knows."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from toolchain.layout import Cache

PROGRAMS: Final = ("kubectl", "helm")
_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"`((?:%s) [^`]+)`" % "|".join(PROGRAMS))
_ENDS: Final = {"|", ";", "&&", "||", "do", "done", "then", "while", "for", "#"}


class Command(NamedTuple):
    """One command, and where it stands."""

    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {' '.join(self.words)}"


def blocks(text: str, *languages: str) -> Iterator[str]:
    """The fenced blocks of these languages."""
    yield from (body for language, body in _BLOCK.findall(text) if language in languages)


def commands(path: Path, text: str) -> Iterator[Command]:
    """Each kubectl and helm command in blocks and between backticks."""
    lines = [line for body in blocks(text, "sh") for line in _lines(body)]
    lines += [
        line for body in blocks(text, "") for line in _lines(body) if line.startswith(PROGRAMS)
    ]
    for line in (*lines, *(found.replace("\n", " ") for found in _INLINE.findall(text))):
        yield from (Command(path.name, words) for words in _in(line))


def _lines(body: str) -> list[str]:
    return body.replace("\\\n", " ").splitlines()


def _in(line: str) -> Iterator[tuple[str, ...]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quotation that goes on in the next line
        words = line.split()
    while words:
        program = next((at for at, word in enumerate(words) if word in PROGRAMS), None)
        if program is None:
            return
        words = words[program:]
        end = next((at for at, word in enumerate(words) if word.rstrip(";") in _ENDS), len(words))
        last = next((at + 1 for at, word in enumerate(words[:end]) if word.endswith(";")), end)
        yield tuple(word.rstrip(";") for word in words[:last])
        words = words[max(last, 1) :]


def flags(command: Command) -> list[str]:
    """The flags it gives, without their values."""
    given = command.words[1:]
    if "--" in given:
        given = given[: given.index("--")]
    return [word.partition("=")[0] for word in given if re.match(r"--?[a-zA-Z]", word)]


def subcommand(command: Command) -> tuple[str, ...]:
    """The words behind the program's name and flags for every subcommand, up to the next flag.

    They are the subcommand, as `create secret generic`, and what it works on.
    """
    words = list(command.words[1:])
    while words and words[0].startswith("-"):
        alone = "=" in words[0] or words[0] not in {"--namespace", "-n", "--kubeconfig"}
        words = words[1 if alone else 2 :]
    end = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    return tuple(words[:end])


@cache
def known_flags(programs: Cache, program: str, name: tuple[str, ...]) -> frozenset[str]:
    """Every flag that the program takes with this subcommand; empty if it has no such one."""
    helped = _help(programs, program, *name, "--help")
    if helped is None:
        return frozenset()
    everywhere = _help(programs, program, *(("options",) if program == "kubectl" else ("--help",)))
    text = f"{helped}\n{everywhere}"
    return frozenset(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", text)) | {"--help", "-h"}


def _help(programs: Cache, *words: str) -> str | None:
    program, *rest = words
    done = subprocess.run(
        [str(programs.bin / program), *rest], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None
