"""The operator dies after a write of its first life, and comes back empty."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from kit.clock import FakeClock, in_fake_time
from kit.fakeapi import Call, run
from kit.simcluster.replicas import Replica
from kit.simcluster.world import World
from spot_operator.control.resource import LEASES

__all__ = ["crashing"]

T = TypeVar("T")


def crashing(
    story: Callable[[World], Awaitable[T]],
    crash_at: int | None,
    then: Callable[[Replica], None] = lambda _: None,
) -> tuple[T, list[str]]:
    """What `story` returns if the operator dies after its so-many-th write (None: it does not),
    and the writes of its first life. `then` is called with each life after that."""
    writes: list[str] = []

    async def scenario(clock: FakeClock) -> T:
        world = await World.make(clock)
        lives = 0

        def watch(replica: Replica) -> None:
            nonlocal lives
            lives += 1
            process, armed = replica.process, lives == 1
            if not armed:
                then(replica)

            def is_the_one(call: Call) -> bool:
                if not armed or not _matters(call):
                    return False
                writes.append(str(call))
                return len(writes) == crash_at

            process.client.faults.on(is_the_one, after=run(process.die))

        world.replicas.all[0].on_start = watch
        found = await story(world)
        assert lives == (1 if crash_at is None else 2)
        return found

    return in_fake_time(scenario), writes


def _matters(call: Call) -> bool:
    """A renewal of the leader's own Lease changes nothing else; every other write counts."""
    return call.is_write and not (call.resource == LEASES and call.verb == "replace")
