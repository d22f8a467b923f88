"""The local backend's own uploader: one thread, newest snapshot first, oldest never waited for."""

from __future__ import annotations

import contextlib
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from spot_training.backends.backend import Ticket
from spot_training.checkpoint import keys, layout, records
from spot_training.checkpoint.commit import commit, read_receipts
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.manifest import Receipt, StoredObject
from spot_training.checkpoint.pruning import Pruner
from spot_training.checkpoint.store import Store, StoreError
from spot_training.exits import tell
from spot_training.snapshots import SnapshotFacts
from spot_training.times import rfc3339, utc_now


@dataclass(frozen=True, slots=True)
class Upload:
    """A whole snapshot in arena `index`."""

    ticket: Ticket
    index: int
    payload: memoryview
    facts: SnapshotFacts
    attempt: int


class Uploader:
    """Makes snapshots durable in the background; `free` is called with each arena done with."""

    def __init__(self, store: Store, free: Callable[[int], None], node: str) -> None:
        self.parent: str | None = None
        self._store = store
        self._free = free
        self._node = node
        self._next: Upload | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="spot-upload", daemon=True)
        self._thread.start()

    def put(self, upload: Upload) -> None:
        """Queues it; one that has not started yields to it."""
        with self._changed:
            yielding, self._next = self._next, upload
            self._changed.notify()
        if yielding is not None:
            self._settle(yielding, "superseded", "a newer snapshot came before it started")

    def stop(self) -> None:
        """Ends the thread; an upload that outlasts a second is left to die with the process."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while (upload := self._take()) is not None:
            upload.ticket.move("uploading")
            try:
                self._store_durably(upload)
            except (StoreError, OSError, records.FormatError) as error:
                tell(f"step {upload.facts.step} was not saved: {error}")
                self._settle(upload, "failed", str(error))
            else:
                self._settle(upload, "committed", "")
                self._prune(upload.attempt)  # nobody waits for it

    def _take(self) -> Upload | None:
        with self._changed:
            self._changed.wait_for(lambda: self._next is not None or self._stopping)
            upload, self._next = self._next, None
            return upload

    def _store_durably(self, upload: Upload) -> None:
        began = time.monotonic()
        checkpoint = upload.ticket.id
        standing = read_receipts(self._store, checkpoint)
        if standing:  # an earlier try got this far: its bytes are the ones to commit
            commit(self._store, standing, committed_at=rfc3339(utc_now()))
            return
        digests = digest_payload(upload.payload, tensors=layout.parse(upload.payload).ranges())
        key = keys.data(checkpoint, 0, 0)
        self._store.upload(key, upload.payload, digests)
        item = StoredObject.of(key, 0, digests)
        receipt = _receipt(upload, item, self.parent, time.monotonic() - began)
        self._store.create(keys.receipt(checkpoint, 0), records.dump(receipt))
        commit(self._store, [receipt], committed_at=rfc3339(utc_now()))

    def _prune(self, attempt: int) -> None:
        """Verifies what was written, and deletes what it makes superfluous."""

        def now() -> str:
            return rfc3339(utc_now())

        pruner = Pruner(attempt, self._node, now, delay=0.0)
        # Whatever went wrong, the next commit prunes again.
        with contextlib.suppress(StoreError, OSError, records.FormatError):
            pruner.prune(self._store)

    def _settle(self, upload: Upload, state: str, why: str) -> None:
        upload.payload.release()
        self._free(upload.index)
        upload.ticket.move(state, why)


def _receipt(upload: Upload, item: StoredObject, parent: str | None, seconds: float) -> Receipt:
    facts = upload.facts
    return Receipt(
        id=upload.ticket.id,
        attempt=upload.attempt,
        step=facts.step,
        rank=0,
        ranks=1,
        samples=facts.samples,
        epoch=facts.epoch,
        reason=facts.reason,
        job_uid="local",
        parent=parent,
        snapshot_at=facts.taken_at,
        created_at=rfc3339(utc_now()),
        stall_seconds=facts.stall_seconds,
        upload_seconds=seconds,
        objects=(item,),
        versions=versions(),
        dataset=facts.dataset,
    )


def versions() -> dict[str, str]:
    """What wrote the checkpoint."""
    try:
        own = version("spot-training")
    except PackageNotFoundError:
        own = "unpackaged"
    return {"spotTraining": own, "numpy": np.__version__, "python": platform.python_version()}
