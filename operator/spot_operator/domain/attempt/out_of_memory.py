"""Whether the kernel killed a trainer for want of memory, and whose memory it was.

The kernel's own counters say so, as the sidecar read them from the files of the trainer's container
(`memory.events` of cgroup v2), when a runtime came too late for them and wrote an exit code alone.
They come from inside the pod: a trainer that forges them can charge itself alone.
"""

from datetime import timedelta
from typing import Final

from spot_operator.api.names import EXIT_REFUSED, EXIT_STOPPED
from spot_operator.domain.observed.rank_end import SENT, STATE_LOST
from spot_operator.domain.state.ledger import MemoryKills, RankEnd

KILLED: Final = 137
"""The exit code of a process that SIGKILL ended."""
LATELY: Final = timedelta(minutes=1)
"""From the kill to the trainer's end at the longest: a process gives back hundreds of GiB first."""


def beyond_its_own_limit(memory: MemoryKills | None, end: RankEnd) -> MemoryKills | None:
    """The kills that ended it for the limit of its own container; None: nothing proves that."""
    return memory if memory is not None and memory.oom and _ended_it(memory, end) else None


def beyond_others(memory: MemoryKills | None, end: RankEnd) -> MemoryKills | None:
    """The kills that ended it though its container was within its limit: the node's, the pod's."""
    return memory if memory is not None and not memory.oom and _ended_it(memory, end) else None


def _ended_it(memory: MemoryKills, end: RankEnd) -> bool:
    before = memory.seconds_before_end
    late = before is None or before > LATELY.total_seconds()
    lost = end.node_away or end.reason in STATE_LOST
    return bool(memory.oom_kill) and not late and not lost and _by_a_kill(end.exit_code)


def _by_a_kill(code: int | None) -> bool:
    """Its own process was killed, or it ended because one of its others was: a shell around the
    script makes 0 of that."""
    if code is None or code < 0 or code in {EXIT_REFUSED, EXIT_STOPPED}:
        return False
    return code == KILLED or code not in SENT


def figures(memory: MemoryKills) -> str:
    """What the evidence is, for a message."""
    limit = "" if memory.limit_bytes is None else f"limit {_size(memory.limit_bytes)}, "
    return (
        f"{limit}memory.events: oom {memory.oom}, oom_kill {memory.oom_kill}, "
        f"{memory.seconds_before_end or 0.0:.1f} s before its end"
    )


def _size(count: int) -> str:
    return f"{count / 2**20:.0f}Mi" if count >= 2**20 else f"{count} bytes"
