"""What the kernel counts when the memory of the trainer's container is used up. Pure.

`memory.events` of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst): `oom` counts how often the
container's own limit made an allocation fail, `oom_kill` how many of its processes were
killed by any killer. So `oom_kill` without `oom` is want of memory elsewhere: of the pod, or of
the whole node.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Counters", "KillLog", "Kills", "read_counters", "read_limit"]

LARGEST = 2**53
"""Beyond it JSON's numbers are not exact, and no counter gets there."""
BURST_SECONDS = 10.0
"""What is counted so soon after one another belongs together."""


@dataclass(frozen=True, slots=True)
class Counters:
    """As read once."""

    oom: int = 0
    oom_kill: int = 0

    def since(self, before: "Counters") -> "Counters":
        """What was added; a counter that went back is another container's."""
        return Counters(max(0, self.oom - before.oom), max(0, self.oom_kill - before.oom_kill))

    def __bool__(self) -> bool:
        return bool(self.oom or self.oom_kill)


@dataclass(frozen=True, slots=True)
class Kills:
    """What was counted last, and how long before the trainer's end."""

    counted: Counters
    limit: int | None = None
    """Bytes that the container may use; None: no limit, or not known."""
    before_end: float | None = None
    """Seconds; None while the trainer lives."""

    def to_json(self) -> dict[str, Any]:
        end = self.before_end
        return {
            "oom": self.counted.oom,
            "oomKill": self.counted.oom_kill,
            "limitBytes": self.limit,
            "secondsBeforeEnd": None if end is None else round(end, 3),
        }

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> "Kills":
        """What `to_json` made."""
        counted = Counters(raw["oom"], raw["oomKill"])
        return Kills(counted, raw["limitBytes"], raw["secondsBeforeEnd"])


class KillLog:
    """Sets what is counted against the trainer's end. Times are of one monotonic clock."""

    def __init__(self, known: Kills | None = None) -> None:
        """`known`: what an earlier life of this process had seen."""
        self._kills = known
        self._at: float | None = None
        self._ended_at: float | None = None

    @property
    def kills(self) -> Kills | None:
        """The last ones; None: there were none."""
        kills = self._kills
        if kills is None or self._at is None:
            return kills
        end = None if self._ended_at is None else max(0.0, self._ended_at - self._at)
        return Kills(kills.counted, kills.limit, end)

    def counted(self, more: Counters, limit: int | None, at: float) -> None:
        """The counters rose by `more`."""
        former = Counters()
        if self._kills is not None and self._at is not None and at - self._at <= BURST_SECONDS:
            former = self._kills.counted
        self._kills = Kills(Counters(former.oom + more.oom, former.oom_kill + more.oom_kill), limit)
        self._at = at

    def lives(self) -> None:
        """A process of the trainer is there: what was counted did not end it."""
        self._ended_at = None
        if self._kills is not None and self._at is None:
            self._kills = Kills(self._kills.counted, self._kills.limit)

    def ended(self, at: float) -> None:
        """The last process of the trainer has gone."""
        self._ended_at = at


def read_counters(content: bytes) -> Counters | None:
    """The counters in `memory.events`; None: it is another file."""
    found: dict[bytes, int] = {}
    for line in content.splitlines():
        name, _, figure = line.partition(b" ")
        if name in {b"oom", b"oom_kill"}:
            found[name] = _figure(figure)
    if len(found) < 2 or min(found.values()) < 0:
        return None
    return Counters(found[b"oom"], found[b"oom_kill"])


def read_limit(content: bytes) -> int | None:
    """The limit in `memory.max`; None: there is none (`max`), or it is another file."""
    limit = _figure(content.strip())
    return None if limit < 0 else limit


def _figure(text: bytes) -> int:
    """-1: none that can be."""
    if not 0 < len(text) <= 20 or not text.isdigit():
        return -1
    figure = int(text)
    return figure if figure <= LARGEST else -1
