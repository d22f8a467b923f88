"""Ports of the loopback for servers under test, no port twice among all tests of this machine."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

__all__ = ["free_port"]

_FIRST, _END = 20_000, 32_000
"""Below the ports that Linux gives to outgoing connections (from 32,768 unless it is told else): a
port from among those may be taken between the question and the server's start."""
_held: Final[list[socket.socket]] = []


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no other test is given while we live.

    Raises `RuntimeError` when none is left.
    """
    begin = os.getpid() * 101 % (_END - _FIRST)
    for step in itertools.islice(itertools.count(begin), _END - _FIRST):
        port = _FIRST + step % (_END - _FIRST)
        if _claimed(port) and _nobody_listens(port):
            return port
    raise RuntimeError(f"no port of 127.0.0.1 from {_FIRST} to {_END - 1} is free")


def _claimed(port: int) -> bool:
    """Whether it is ours from now on: a name that one process has, until its end."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0spot-training-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _held.append(claim)
    return True


def _nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
