"""Which samples were consumed, and how to go on behind them.

The position is what the trainer consumed, not what a loader fetched ahead. An `Order` goes on from
any sample by itself. Any other iterable is begun again with the random state that it was begun
with, its consumed batches are skipped by index, and then the random state of the snapshot is put
back: `iter()` of a loader draws random numbers, so one restored state cannot do (the two-RNG rule).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from spot_training import sources
from spot_training.exits import tell
from spot_training.heads import head_of
from spot_training.sources import Order, Place, Source, WrongData, source_of

Batch = TypeVar("Batch")
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShuffledBatches:
    """Index batches over `n` samples in an order that depends on (seed, epoch) alone.

    Yields int64 arrays of up to `batch_size` indices. The batch size may change between attempts,
    `n` and `seed` may not. With `drop_last` a shorter last batch is left out.
    """

    n: int
    batch_size: int
    seed: int = 0
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.n < 1 or self.batch_size < 1 or self.seed < 0:
            raise ValueError("n and batch_size must be at least 1, seed at least 0")

    @property
    def fingerprint(self) -> Mapping[str, int | str]:
        return {"kind": "ShuffledBatches", "n": self.n, "seed": self.seed}

    def batches(self, epoch: int, *, after: int) -> Iterator[Indices]:
        order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
        for start in range(after, self.n, self.batch_size):
            batch = order[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch


@dataclass(slots=True)
class Cursor:
    """Where the data stands. `batches` and `epoch_samples` count within the epoch.

    `begun_with` is the random state in which the epoch's iteration began. `doubt` says why this
    run may have, or get, other bits than an uninterrupted one; empty if there is no reason.
    """

    epoch: int = 0
    batches: int = 0
    epoch_samples: int = 0
    samples: int = 0
    fingerprint: Mapping[str, int | str] | None = None
    begun_with: Any = None
    doubt: str = ""
    _resume_with: Any = None
    _own_begun: Sequence[Any] = ()
    _own_now: Sequence[Any] | None = None
    _head: str = ""
    _streams: int = 0
    _source: Source[Any] | None = None
    _open: bool = False
    _told: list[str] = field(default_factory=list)

    @property
    def exactness(self) -> dict[str, Any] | None:
        """What a checkpoint tells of it; None while nothing is known of the data."""
        if self.doubt:
            return {"exact": False, "why": self.doubt}
        return {"exact": True} if self._source is not None else None

    def to_plain(self) -> dict[str, Any]:
        now = self._own_now if self._source is None else sources.capture(self._source)
        own = {"generators": {"begun": list(self._own_begun), "now": list(now)}} if now else {}
        known = {"head": self._head, "streams": self._streams, "doubt": self.doubt}
        return {
            "epoch": self.epoch,
            "batches": self.batches,
            "epochSamples": self.epoch_samples,
            "samples": self.samples,
            "fingerprint": self.fingerprint,
            "begunWith": self.begun_with,
            **own,
            **{name: value for name, value in known.items() if value},
        }

    def restore(self, plain: Mapping[str, Any], *, now: Any) -> None:
        """Goes to a checkpoint's position; `now` is the random state that it was taken in."""
        self._resume_with = now
        self.epoch = plain["epoch"]
        self.batches = plain["batches"]
        self.epoch_samples = plain["epochSamples"]
        self.samples = plain["samples"]
        self.fingerprint = plain["fingerprint"]
        self.begun_with = plain["begunWith"]
        own = plain.get("generators", {})
        self._own_begun, self._own_now = own.get("begun", ()), own.get("now")
        self._head, self._streams = plain.get("head", ""), plain.get("streams", 0)
        self.doubt = plain.get("doubt", "")

    def next_epoch(self) -> None:
        """The epoch is over."""
        self.epoch += 1
        self.batches = self.epoch_samples = 0
        self.begun_with = None
        self._own_begun, self._head = (), ""
        self._open = False

    def count(self, samples: int) -> None:
        """Samples consumed outside of `walk`."""
        self.samples += samples

    def enter(
        self, epoch: int, *, capture: Callable[[], Any], restore: Callable[[Any], None]
    ) -> None:
        """A framework begins to read the data of `epoch`, which it walks by itself.

        The epoch that was interrupted gets the random state that it was begun with; `settle` has to
        follow once what was consumed is read again or skipped.
        """
        if self._resume_with is not None and epoch == self.epoch and self.begun_with is not None:
            restore(self.begun_with)
            return
        self.settle(restore)
        self.epoch = epoch
        self.begun_with = capture()

    def settle(self, restore: Callable[[Any], None], *, consumed: bool = True) -> None:
        """Puts back the random state that the checkpoint was taken in; once after a resume.

        Where nothing of the epoch was `consumed`, to begin it has led to that state by itself.
        """
        if self._resume_with is not None and consumed:
            restore(self._resume_with)
        self._resume_with = None

    def walk(
        self,
        data: Order[Batch] | Iterable[Batch],
        *,
        capture: Callable[[], Any],
        restore: Callable[[Any], None],
    ) -> Iterator[Batch]:
        """The batches of this epoch that were not consumed yet; counts each before it is yielded.

        `capture` and `restore` are of the process's random state. Raises WrongData if the data
        cannot be what was trained on before, RuntimeError if the epoch has a walk already.
        """
        if self._open:
            raise RuntimeError(
                "run.batches() was already used in this epoch; iterate other data directly, "
                "and put run.epochs(n) around it"
            )
        self._open = True
        return self._walk(data, capture, restore)

    def _walk(
        self,
        data: Order[Batch] | Iterable[Batch],
        capture: Callable[[], Any],
        restore: Callable[[Any], None],
    ) -> Iterator[Batch]:
        rest = self._rest(data, capture, restore)
        comparable = self._source is not None and self._source.comparable
        for batch in rest:
            self.batches += 1
            size = samples_in(batch)
            self._head = head_of(batch) if comparable else ""
            self.epoch_samples += size
            self.samples += size
            yield batch

    def _rest(
        self,
        data: Order[Batch] | Iterable[Batch],
        capture: Callable[[], Any],
        restore: Callable[[Any], None],
    ) -> Iterator[Batch]:
        self._expect_same(data)
        source = self._source = source_of(data)
        self.note(source.doubt)
        if self.batches and source.streams != self._streams:
            self.note(
                f"epoch {self.epoch} was begun with {self._streams} workers and goes on with "
                f"{source.streams}: keep num_workers, or give every sample a seed (spot.seeded)"
            )
        self._streams = source.streams
        pending, self._own_now = self._own_now, None
        if self.begun_with is None:
            if pending is not None:
                sources.restore(source, pending)
            self.begun_with, self._own_begun = capture(), sources.capture(source)
            return self._behind(source)
        restore(self.begun_with)
        sources.restore(source, self._own_begun)
        iterator = self._behind(source)
        self.settle(restore)  # undoes what the script drew before it came here again
        sources.restore(source, pending or ())
        return iterator

    def _behind(self, source: Source[Batch]) -> Iterator[Batch]:
        """The source's batches that were not consumed; looks whether the last one is the same."""
        iterator, repeated = source.begin(Place(self.epoch, self.batches, self.epoch_samples))
        batch: Any = _END
        for skipped in range(self.batches - repeated, self.batches):
            batch = next(iterator, _END)
            if batch is _END:
                raise WrongData(
                    f"epoch {self.epoch} ended after {skipped} batches, the checkpoint has "
                    f"consumed {self.batches}: use the data and the batch size it was trained with"
                )
        looked_at = self._head and source.comparable and batch is not _END
        if looked_at and head_of(batch) != self._head:
            self.note(
                f"batch {self.batches} of epoch {self.epoch} changed when it was fetched again: "
                "the data does not depend on the random state alone"
            )
        return iterator

    def note(self, doubt: str) -> None:
        """A reason why the run may have, or get, other bits than an uninterrupted one.

        Told once in each process; the lineage keeps the first one.
        """
        if doubt and doubt not in self._told:
            self._told.append(doubt)
            tell(f"exact resume is not guaranteed: {doubt}")
        self.doubt = self.doubt or doubt

    def _expect_same(self, data: object) -> None:
        mine = dict(data.fingerprint) if isinstance(data, Order) else None
        if self.fingerprint is not None and self.batches and mine != dict(self.fingerprint):
            raise WrongData(
                f"the checkpoint was trained on {dict(self.fingerprint)}, the script offers {mine}"
            )
        self.fingerprint = mine


_END = object()


def samples_in(batch: object) -> int:
    """How many samples a batch has: the length of the first array in it.

    Tuples, lists and mappings are looked into (inputs come first); a plain list of things that are
    no arrays is a list of samples.
    """
    if isinstance(batch, Mapping):
        return samples_in(next(iter(batch.values()), ()))
    if isinstance(batch, tuple | list) and batch and hasattr(batch[0], "shape"):
        return samples_in(batch[0])
    shape = getattr(batch, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 1
    return len(batch) if hasattr(batch, "__len__") else 1
