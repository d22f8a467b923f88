"""Without Kubernetes: this process is its own sidecar, a local directory its lineage.

Same format, verification, quarantine and fallback. One process at a time (a lock on the directory
says so); every start is the next attempt. Old checkpoints go by the rules of `retention`, at once:
nobody else can be reading them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import tempfile
import threading
from pathlib import Path

from spot_training.backends.backend import Beginning, Halt, Lent, Restore, Ticket, let_go
from spot_training.backends.local_search import search, when_reachable
from spot_training.backends.local_upload import Upload, Uploader
from spot_training.checkpoint import arena, keys, records, verify
from spot_training.checkpoint.arena import Arena, Control
from spot_training.checkpoint.claim import Taken, claim, highest_attempt
from spot_training.checkpoint.manifest import Claim, Marker
from spot_training.checkpoint.orphans import discard_orphans
from spot_training.checkpoint.records import FormatError
from spot_training.checkpoint.store import Corrupt, Store
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.exits import tell
from spot_training.notices import DEFAULT_GRACE, Notice, NoticeFile, SigtermTrap, Watch
from spot_training.progress import Progress
from spot_training.snapshots import SnapshotFacts
from spot_training.times import rfc3339, utc_now

JOB_UID = "local"
NOTICE = "notice.json"
LOCK = ".lock"


class LocalBackend:
    """A lineage in `directory`."""

    rank = 0
    cost = None

    def __init__(self, directory: Path, *, interval: float, store: Store | None = None) -> None:
        """`store` replaces the directory's own store (the directory still holds the lock)."""
        self.interval = interval
        self.attempt = 0
        self._directory = directory
        self._store = store or DirectoryStore.prepare(directory)
        self._lock = _locked(directory)
        self._store.discard_abandoned(lambda _: False, older_seconds=0)  # the lock is ours
        self._nonce = secrets.token_hex(4)
        self._arenas: list[Arena] = []
        self._busy: set[int] = set()
        self._freed = threading.Condition()
        self._uploader = Uploader(self._store, self._free, node_identity())
        (directory / NOTICE).unlink(missing_ok=True)  # one for an attempt before this one
        grace = float(os.environ.get("SPOT_GRACE_SECONDS", DEFAULT_GRACE))
        self._watch = Watch(NoticeFile(directory / NOTICE), SigtermTrap(grace))

    def begin(self) -> Beginning:
        try:
            self.attempt = when_reachable(self._claim)
        except (Corrupt, FormatError) as error:
            return Halt("NoValidCheckpoint", str(error))
        found = search(self._store, attempt=self.attempt, node=node_identity(), now=_now)
        discard_orphans(self._store, before=self.attempt)
        if isinstance(found, Restore):
            self._uploader.parent = found.manifest.id
        return found

    def resumed(self, *, step: int, differs: list[str], seconds: float) -> None:
        if not differs:
            tell(f"attempt {self.attempt} resumed at step {step} after {seconds:.1f} s")

    def release(self, payload: memoryview) -> None:
        let_go(payload)

    def lend(self, size: int, reason: str, seconds: float | None) -> Lent | None:
        if reason == "periodic":
            seconds = 0.0
        with self._freed:
            if not self._freed.wait_for(lambda: len(self._busy) < 2, seconds):
                return None
            index = min({0, 1} - self._busy)
            self._busy.add(index)
        self._fit(size)
        return Lent(self._arenas[index], index)

    def submit(self, lent: Lent, control: Control, facts: SnapshotFacts) -> Ticket:
        ticket = Ticket(facts.step, control.payload_bytes)
        ticket.id = keys.checkpoint_id(self.attempt, facts.step, self._nonce)
        payload = lent.arena.snapshot(control.generation)
        self._uploader.put(Upload(ticket, lent.index, payload, facts, self.attempt))
        return ticket

    def notice(self) -> Notice | None:
        return self._watch.look()

    def fits(self, seconds: float | None) -> bool | None:
        """The run measures the same."""

    def publish(self, progress: Progress) -> None:
        """Nobody watches a local run from outside."""

    def say(self, word: str, reason: str) -> None:
        tell(f"{word}: {reason}")

    def complete(self, ticket: Ticket) -> bool:
        marker = Marker(attempt=self.attempt, id=ticket.id, step=ticket.step, at=_now())
        self._store.create(keys.marker(self.attempt), records.dump(marker))
        tell(f"completed at step {ticket.step}, checkpoint {ticket.id}")
        return True

    def busy(self, what: str | None) -> None:
        """Nobody watches a local run for stalls."""

    def close(self) -> None:
        self._uploader.stop()
        self._watch.release()
        for mapped in self._arenas:
            mapped.close()
        _held.discard(self._lock)
        os.close(self._lock)

    def _claim(self) -> int:
        verify.open_lineage(self._store, created_at=_now())
        attempt = highest_attempt(self._store) + 1
        mine = Claim(
            attempt=attempt, rank=0, pod_uid=f"local-{os.getpid()}", nonce=self._nonce,
            node=node_identity(), at=_now(),
        )  # fmt: skip
        taken = isinstance(claim(self._store, mine), Taken)
        if taken:
            raise RuntimeError(f"attempt {attempt} was claimed by another process: start again")
        return attempt

    def _free(self, index: int) -> None:
        with self._freed:
            self._busy.discard(index)
            self._freed.notify_all()

    def _fit(self, size: int) -> None:
        """Two arenas of at least `size`. A smaller one still in flight keeps its memory."""
        for index in (0, 1):
            if len(self._arenas) <= index:
                self._arenas.append(_anonymous_arena(size, self._directory))
            elif self._arenas[index].capacity < size:
                self._arenas[index].close()
                self._arenas[index] = _anonymous_arena(size, self._directory)


def node_identity() -> str:
    """This machine until its next boot: evidence of bad memory does not outlive a reboot."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()}/{boot.read_text().strip() if boot.exists() else 'unknown'}"


def _now() -> str:
    return rfc3339(utc_now())


_held: set[int] = set()


def _leave_to_the_trainer() -> None:
    """In a forked child, such as a loader's worker: it may outlive a killed trainer by seconds,
    and must not keep its lock."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_leave_to_the_trainer)


def _locked(directory: Path) -> int:
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RuntimeError(
            f"another process is training in {directory}: stop it, or set another SPOT_DIR"
        ) from None
    _held.add(descriptor)
    return descriptor


def _anonymous_arena(size: int, directory: Path) -> Arena:
    """A mapped arena whose file has no name any more: nothing is left after a SIGKILL."""
    for folder in ("/dev/shm", directory):  # noqa: S108 - memory first; the file has no name
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=folder) as temporary:
            path = Path(temporary) / "arena"
            arena.allocate(path, size, mode=0o600)
            return Arena(path)
    raise RuntimeError(
        f"a snapshot needs {arena.arena_bytes(size)} bytes: neither /dev/shm nor {directory} has "
        "them; make room"
    )
