"""What runs in the pod that deletes a lineage, by the contract of the real one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kit.clock import FakeClock
from kit.simcluster.store import Lineage
from kit.simcluster.trainer import Exit
from spot_operator.api import names

__all__ = ["PurgePod", "is_purge"]

PURGE_SECONDS = 3.0


@dataclass(slots=True)
class PurgePod:
    """One try. `begins` is called when it starts; whether it may succeed is its answer."""

    lineage: Lineage
    clock: FakeClock
    begins: Callable[[], bool]
    ready: bool = True

    async def run(self) -> Exit:
        """Delete, and say what came of it."""
        succeeds = self.begins()
        await self.clock.sleep(PURGE_SECONDS)
        if not succeeds:
            return Exit(1, {"version": 1, "problem": "Denied: no right to delete"})
        return Exit(0, {"version": 1, "deleted": self.lineage.purge(), "kept": []})


def is_purge(pod: dict[str, Any]) -> bool:
    """Whether it deletes a lineage."""
    return any(one["name"] == names.PURGE_CONTAINER for one in pod["spec"]["containers"])
