"""The pod's annotations as the kubelet writes them into a downwardAPI volume.

Format: one `key="value"` a line, sorted, the value quoted as Go's `%q` does
(k8s.io/kubernetes/pkg/fieldpath FormatMap). The kubelet replaces the file through a symbolic link,
within about a second of a change (measured).
"""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from spot_sidecar.base.clock import Clock

__all__ = ["read_annotations", "watch_annotations"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""One stat of a memory file: cheap. A grant and a notice are waited for, so it is often."""
ESCAPE = re.compile(
    rb"""\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([abfnrtv\\"']))"""
)
SIMPLE = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
    b"\\": b"\\", b'"': b'"', b"'": b"'",
}  # fmt: skip


def read_annotations(text: str) -> dict[str, str]:
    """Parse the file; a line that is not an annotation is left out."""
    return dict(pair for pair in map(_read_line, text.split("\n")) if pair)


def _read_line(line: str) -> tuple[str, str] | None:
    key, mark, quoted = line.partition("=")
    if not mark or len(quoted) < 2 or quoted[0] != '"' or quoted[-1] != '"':
        return None
    return key, unquote(quoted[1:-1])


def unquote(text: str) -> str:
    """Undo Go's `%q` (strconv.Quote); bytes that are not UTF-8 become U+FFFD."""
    return ESCAPE.sub(_unescape, text.encode()).decode(errors="replace")


def _unescape(match: re.Match[bytes]) -> bytes:
    byte, short, long, octal, simple = match.groups()
    if simple:
        return SIMPLE[simple]
    if byte or octal:
        return bytes([int(byte, 16) if byte else int(octal, 8) & 0xFF])
    return chr(int(short or long, 16)).encode(errors="replace")


async def watch_annotations(
    path: Path, clock: Clock, changed: Callable[[Mapping[str, str]], object]
) -> None:
    """Call `changed` with all annotations at the first sight of the file and after each change."""
    seen: tuple[int, ...] | None = None
    while True:
        try:
            mark = _mark(path)
            if mark != seen:
                changed(_read(path))
                seen = mark
        except FileNotFoundError:
            pass  # not written yet, or being replaced
        await clock.sleep(LOOK_SECONDS)


def _mark(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> dict[str, str]:
    return read_annotations(path.read_text("utf-8", errors="replace"))
