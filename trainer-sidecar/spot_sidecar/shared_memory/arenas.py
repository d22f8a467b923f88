"""The trainer's places to copy its state into: allocated here, lent one snapshot at a time.

Shared memory is charged to whoever fills it, so the sidecar fills it (under its own limit, which
the scheduler knows) and never beyond the staging size: too small is an answer, not a kill. An arena
only ever grows, because the trainer has it mapped.

What a killed run of this container left stays charged to the pod until its file goes. So it is
taken over, or deleted where nobody can have it mapped, before anything is allocated: two sets are
never charged at once.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from spot_training.checkpoint import arena

from spot_sidecar.base.pulse import Pulse
from spot_sidecar.config.paths import GROUP_FILE, Paths

__all__ = ["ArenaSlot", "Arenas", "ArenasInUseError", "StagingTooSmallError"]

NAME = re.compile(r"arena-p(\d+)-([01])")
RESTORED = re.compile(r"restored-p(\d+)(\.part)?")
COUNT = 2
"""One is uploaded while the trainer fills the other."""


class StagingTooSmallError(Exception):
    """Not even one arena fits; both numbers are bytes."""

    def __init__(self, need: int, have: int) -> None:
        super().__init__(
            f"one snapshot needs {need} bytes of shared memory, {have} are left: "
            f"raise checkpoint.staging.sizeLimit by at least {need - have} bytes"
        )
        self.need, self.have = need, have


class ArenasInUseError(Exception):
    """Larger arenas were asked for while a snapshot lies in one."""


@dataclass(frozen=True, slots=True)
class ArenaSlot:
    """One arena of a process; `bytes` is the payload that fits."""

    index: int
    path: Path
    bytes: int


class Arenas:
    """Every arena of this pod, and which hold something."""

    def __init__(self, paths: Paths, staging_bytes: int) -> None:
        self._paths = paths
        self._staging = staging_bytes
        self._slots: dict[int, tuple[ArenaSlot, ...]] = {}
        self._lent: set[tuple[int, int]] = set()
        self._kept: set[tuple[int, int]] = set()
        self._restored: dict[int, int] = {}
        self._tried: set[int] = set()
        """Processes that have what fits; an earlier run may have been killed between two arenas."""
        self._allocating = asyncio.Lock()
        self.changes = Pulse()
        self._adopt()

    async def provide(self, process: int, payload: int) -> tuple[ArenaSlot, ...]:
        """Arenas of at least `payload` bytes for the process: two, or one where two do not fit.

        Raises:
            StagingTooSmallError: not even one fits.
            ArenasInUseError: there are smaller ones, and a snapshot lies in one of them.
        """
        async with self._allocating:
            present = self._slots.get(process, ())
            enough = bool(present) and min(slot.bytes for slot in present) >= payload
            in_use = any(process == user for user, _ in self._kept)
            if enough and (process in self._tried or len(present) == COUNT or in_use):
                return present
            if in_use:
                raise ArenasInUseError("a snapshot is being uploaded; ask again for larger arenas")
            largest = max(payload, *(slot.bytes for slot in present), 0)
            if not enough or self.room(process) >= arena.arena_bytes(largest):
                self._slots[process] = await self._allocate(process, largest)
            self._tried.add(process)
            return self._slots[process]

    def lend(self, process: int) -> int | None:
        """Lend a free arena to the trainer; None if there is none.

        A process writes one snapshot at a time: until it hands over what it was lent, it is lent
        the same again, so that an answer that got lost costs no arena.
        """
        keys = [(process, slot.index) for slot in self._slots.get(process, ())]
        lent = [key for key in keys if key in self._lent]
        free = [key for key in keys if key not in self._kept]
        if not free:
            return None
        key = (lent or free)[0]
        self._lent.add(key)
        return key[1]

    def keep(self, process: int, index: int) -> None:
        """The trainer handed the arena over: it holds a snapshot until `free`."""
        self._lent.discard((process, index))
        self._kept.add((process, index))

    def free(self, process: int, index: int) -> None:
        """The snapshot in the arena is no longer needed."""
        self._kept.discard((process, index))
        self.changes.ring()

    def take_back(self, process: int) -> None:
        """The process is gone: what it was lent and did not hand over is free again."""
        self._lent = {key for key in self._lent if key[0] != process}
        self.changes.ring()

    def give_back(self, process: int, index: int) -> None:
        """The trainer no longer needs the arena it was lent."""
        self._lent.discard((process, index))
        self.changes.ring()

    def holds(self, process: int, index: int) -> bool:
        """Whether a snapshot lies in this arena."""
        return (process, index) in self._kept

    def spare(self, process: int) -> bool:
        """Whether one of the process's arenas holds nothing that is under way."""
        return len(self._slots.get(process, ())) > 1

    def charge_restored(self, process: int, size: int) -> None:
        """Count `size` bytes of shared memory as taken by a restored checkpoint; 0: given back."""
        self._restored[process] = size

    @property
    def restored(self) -> tuple[int, ...]:
        """The processes for which a restored checkpoint lies there."""
        return tuple(process for process, size in self._restored.items() if size)

    def room(self, process: int) -> int:
        """Bytes of shared memory that this process's arenas may take in all."""
        others = sum(
            arena.arena_bytes(slot.bytes)
            for owner, slots in self._slots.items()
            if owner != process
            for slot in slots
        )
        return self._staging - others - sum(self._restored.values())

    def _adopt(self) -> None:
        """Take over what an earlier run of this container left: the trainer may have it mapped."""
        found: dict[int, list[ArenaSlot]] = {}
        # By their names alone: the trainer's own files come and go while this looks.
        for path in sorted(self._paths.shared.iterdir()):
            if match := NAME.fullmatch(path.name):
                slot = ArenaSlot(int(match[2]), path, path.stat().st_size - arena.PAGE)
                if slot.bytes > 0:
                    found.setdefault(int(match[1]), []).append(slot)
                else:
                    path.unlink()  # killed before it had a page for a snapshot: nobody was told
            elif match := RESTORED.fullmatch(path.name):
                if match[2]:
                    path.unlink()  # half a download
                else:
                    self._restored[int(match[1])] = arena.arena_bytes(path.stat().st_size)
        self._slots = {process: tuple(slots) for process, slots in found.items()}

    async def _allocate(self, process: int, payload: int) -> tuple[ArenaSlot, ...]:
        need, have = arena.arena_bytes(payload), self.room(process)
        fitting = min(COUNT, max(0, have) // need)
        if fitting == 0:
            raise StagingTooSmallError(need, have)
        for index in range(fitting, COUNT):
            self._paths.arena(process, index).unlink(missing_ok=True)
        self._slots.pop(process, None)
        made: list[ArenaSlot] = []
        for index in range(fitting):
            path = self._paths.arena(process, index)
            try:
                await asyncio.to_thread(arena.allocate, path, payload, mode=GROUP_FILE)
            except OSError:
                break  # the volume is smaller than told, or a file of the trainer's fills it
            made.append(ArenaSlot(index, path, need - arena.PAGE))
        if not made:
            raise StagingTooSmallError(need, have)
        return tuple(made)
