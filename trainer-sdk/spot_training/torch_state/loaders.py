"""A `DataLoader` as data: its own generators, and what is known of its exactness.

Source: torch.utils.data of torch 2.15. Iterating draws a seed for the workers and one for the
sampler, from the loader's generator or the global one; torch's own samplers draw nothing from the
global generators after that.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate, default_convert

from spot_training.sources import Place, WrongData, generators_in
from spot_training.torch_state.samples import SeededSamples

_END = object()


def source(data: object) -> LoaderSource | None:
    """`data` as a source, if it is a DataLoader."""
    return LoaderSource(data) if isinstance(data, DataLoader) else None


class LoaderSource:
    """Consumed batches are fetched again, unless every sample has a seed: then they are skipped,
    but for the last one, which is compared."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader

    @property
    def doubt(self) -> str:
        return next(self._doubts(), "")

    @property
    def generators(self) -> Sequence[Any]:
        return generators_in([self._loader, *self._samplers(), *self._datasets()])

    @property
    def streams(self) -> int:
        return 0 if self._seeded else self._loader.num_workers

    @property
    def comparable(self) -> bool:
        plain = self._loader.collate_fn in (default_collate, default_convert)
        return self._loader.num_workers > 0 or (self._seeded and plain)

    def begin(self, at: Place) -> tuple[Iterator[Any], int]:
        for dataset in self._datasets():
            if isinstance(dataset, SeededSamples):
                dataset.begin(at.epoch)
        if not self._seeded:
            return iter(self._loader), at.batches
        if at.batches < 2 or type(self._loader) is not DataLoader:
            return _begun(self._loader), at.batches
        return _begun(_behind(self._loader, at.batches - 1)), 1

    @property
    def _seeded(self) -> bool:
        """Whether every sample has a seed, also through a `Subset`."""
        return any(isinstance(dataset, SeededSamples) for dataset in self._datasets())

    def _doubts(self) -> Iterator[str]:
        loader = self._loader
        if isinstance(loader.dataset, IterableDataset):
            yield "cannot tell whether an IterableDataset yields the same samples again"
        if type(loader) is not DataLoader:
            yield f"cannot tell whether a {type(loader).__name__} yields the same batches again"
        for sampler in self._samplers():
            if not type(sampler).__module__.startswith("torch.utils.data"):
                name = type(sampler).__name__
                yield f"cannot tell whether a {name} draws all its random numbers at its start"
        if loader.num_workers and not loader.in_order:
            yield "in_order=False lets the fastest worker's batch come first"
        if loader.num_workers and loader.persistent_workers and not self._seeded:
            yield (
                "persistent_workers=True keeps random state of the epochs before in processes that "
                "end with this one: leave it out, or give the loader spot.seeded(dataset, seed=...)"
            )

    def _samplers(self) -> Iterator[Any]:
        """The sampler of batches, and those that it draws from."""
        for sampler in (self._loader.batch_sampler, self._loader.sampler):
            inner = _chain(sampler, "sampler")
            yield from (one for one in inner if isinstance(one, torch.utils.data.Sampler))

    def _datasets(self) -> Iterator[Any]:
        """The dataset, and what it wraps."""
        return _chain(self._loader.dataset, "dataset")


def _chain(outermost: Any, name: str) -> Iterator[Any]:
    """An object, what it has as attribute `name`, and so on."""
    at, seen = outermost, set[int]()
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = getattr(at, name, None)


def _begun(loader: DataLoader[Any]) -> Iterator[Any]:
    """An iterator whose workers are seeded from nowhere: their samples have seeds of their own.

    Workers that persist would be seeded once, and those of a process that goes on once more: that
    draw would shift all behind it, the order of the samples too.
    """
    held, loader.generator = loader.generator, torch.Generator()
    try:
        return iter(loader)
    finally:
        loader.generator = held


def _behind(loader: DataLoader[Any], batches: int) -> DataLoader[Any]:
    """The same loader for the rest of this epoch. Its workers end with it."""
    rest = copy.copy(loader)
    name = "sampler" if loader.batch_sampler is None else "batch_sampler"
    changes = {name: _Rest(getattr(loader, name), batches), "_iterator": None,
               "persistent_workers": False}  # fmt: skip
    for changed, value in changes.items():
        object.__setattr__(rest, changed, value)  # DataLoader lets nobody change itself
    return rest


class _Rest:
    """What a sampler yields behind its first `skipped`."""

    def __init__(self, sampler: Any, skipped: int) -> None:
        self._sampler = sampler
        self._skipped = skipped

    def __iter__(self) -> Iterator[Any]:
        rest = iter(self._sampler)
        for number in range(self._skipped):
            if next(rest, _END) is _END:
                raise WrongData(f"the epoch has {number} batches, {self._skipped} were consumed")
        yield from rest

    def __len__(self) -> int:
        return len(self._sampler) - self._skipped
