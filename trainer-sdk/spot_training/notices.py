"""Notices as the trainer sees them: a file that is replaced as a whole, and SIGTERM.

The look at every step is one `stat` (about a microsecond). Earliest deadline wins.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from spot_training.times import parse_rfc3339, utc_now

CERTAIN = frozenset({"Preempt", "PodDeletion"})
DEFAULT_GRACE = 30.0


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning: `kind` is Preempt, Rebalance, Maintenance or PodDeletion."""

    kind: str
    deadline: datetime | None
    source: str
    observed_at: datetime
    raw: str = ""

    @property
    def certain(self) -> bool:
        """Whether the node or pod surely goes: save, commit, pause."""
        return self.kind in CERTAIN

    def seconds_left(self, now: datetime | None = None) -> float | None:
        """Seconds until the deadline (negative after it); None if there is no deadline."""
        if self.deadline is None:
            return None
        return (self.deadline - (now or utc_now())).total_seconds()


def parse_notice(body: bytes) -> Notice:
    """Reads notice.json; raises ValueError for anything else."""
    data = json.loads(body)
    try:
        deadline = data.get("deadline")
        return Notice(
            kind=str(data["kind"]),
            deadline=parse_rfc3339(deadline) if deadline else None,
            source=str(data["source"]),
            observed_at=parse_rfc3339(data["observedAt"]),
            raw=str(data.get("raw", "")),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a notice: {error!r}") from error


def earlier(one: Notice | None, other: Notice | None) -> Notice | None:
    """The notice that counts: certain before uncertain, then the earliest deadline."""
    found = [notice for notice in (one, other) if notice is not None]
    return min(found, key=_urgency, default=None)


def _urgency(notice: Notice) -> tuple[bool, float]:
    at = notice.deadline.timestamp() if notice.deadline else float("inf")
    return not notice.certain, at


class NoticeFile:
    """notice.json, read again only when the file was replaced."""

    def __init__(self, path: Path | str) -> None:
        self._path = os.fspath(path)
        self._seen: tuple[int, int] | None = None
        self._notice: Notice | None = None

    def look(self) -> Notice | None:
        """The notice in force; an unreadable file counts as none until it is replaced."""
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - half the time of Path.stat, at every step
        except FileNotFoundError:
            return None
        identity = (stat.st_ino, stat.st_mtime_ns)
        if identity != self._seen:
            self._seen = identity
            self._notice = self._read()
        return self._notice

    def _read(self) -> Notice | None:
        try:
            return parse_notice(Path(self._path).read_bytes())
        except (OSError, ValueError):
            return None


class SigtermTrap:
    """Takes SIGTERM as the notice of a pod's deletion; only in the main thread.

    The handler that was there before is called as well, unless it is the default one, and comes
    back with `release`. `grace` seconds are assumed to be left.
    """

    def __init__(self, grace: float, now: Callable[[], datetime] = utc_now) -> None:
        self._grace = grace
        self._now = now
        self._notice: Notice | None = None
        self._before: Any = None
        self._set = threading.current_thread() is threading.main_thread()
        if self._set:
            self._before = signal.signal(signal.SIGTERM, self._trap)

    def look(self) -> Notice | None:
        return self._notice

    def release(self) -> None:
        """Puts the former handler back."""
        if self._set:
            self._set = False
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)

    def _trap(self, number: int, frame: Any) -> None:
        if self._notice is None:
            now = self._now()
            deadline = now + timedelta(seconds=self._grace)
            self._notice = Notice("PodDeletion", deadline, "sigterm", now, "SIGTERM")
        if callable(self._before):
            self._before(number, frame)


class Watch:
    """Everything that can warn this process."""

    def __init__(self, file: NoticeFile | None, trap: SigtermTrap) -> None:
        self._file = file
        self._trap = trap

    def look(self) -> Notice | None:
        """The notice in force, if any."""
        trapped = self._trap.look()
        written = self._file.look() if self._file is not None else None
        return earlier(written, trapped) if trapped else written

    def release(self) -> None:
        self._trap.release()
