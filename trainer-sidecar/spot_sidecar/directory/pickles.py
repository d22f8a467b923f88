"""Reads names and numbers out of pickles without running them.

Only the opcodes are walked (https://docs.python.org/3/library/pickletools.html): a pickle that
would run code when loaded is as harmless here as any other bytes.
"""

import pickletools
from collections.abc import Iterator
from typing import Any, BinaryIO

__all__ = ["BrokenPickleError", "number_behind", "strings"]

MEMOIZED = frozenset({"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"})


class BrokenPickleError(ValueError):
    """The bytes are not a whole pickle."""


def strings(stream: BinaryIO) -> Iterator[str]:
    """Every string constant of the pickle, in its order.

    Raises:
        BrokenPickleError: it is cut short, or is not a pickle.
    """
    return (argument for _, argument in _operations(stream) if isinstance(argument, str))


def number_behind(stream: BinaryIO, key: str) -> int | None:
    """The whole number that directly follows the string `key`, as in a dict of theirs.

    Raises:
        BrokenPickleError: it ends before that, or is not a pickle.
    """
    armed = False
    for name, argument in _operations(stream):
        if armed and type(argument) is int and name not in MEMOIZED:
            return argument
        armed = argument == key or (armed and name in MEMOIZED)
    return None


def _operations(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    try:
        for operation, argument, _ in pickletools.genops(stream):
            yield operation.name, argument
    except (ValueError, UnicodeDecodeError, AttributeError, IndexError, OverflowError) as error:
        raise BrokenPickleError(str(error)) from None
