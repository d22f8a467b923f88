"""Data as the cursor sees it: how it is begun again, and whether that is sure to be exact."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from spot_training import frameworks
from spot_training.checkpoint import codec
from spot_training.checkpoint.tensors import kind_of
from spot_training.state import stateful

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)


class WrongData(ValueError):  # noqa: N818 - named for what happened
    """The data is not what the checkpoint was trained on; the message says what differs."""


@runtime_checkable
class Order(Protocol[Batch_co]):
    """Data that can be entered at any sample of any epoch."""

    @property
    def fingerprint(self) -> Mapping[str, int | str]:
        """What must not change between attempts."""

    def batches(self, epoch: int, *, after: int) -> Iterator[Batch_co]:
        """The batches of `epoch` behind its first `after` samples."""


@dataclass(frozen=True, slots=True)
class Place:
    """How much was consumed: `batches` and `samples` of `epoch`."""

    epoch: int
    batches: int
    samples: int


class Source(Protocol[Batch_co]):
    """One way to begin an epoch's data again."""

    @property
    def doubt(self) -> str:
        """Why going on may not give the bits of an uninterrupted run; empty if it is sure to."""

    @property
    def generators(self) -> Sequence[Any]:
        """The random generators that belong to the data, always in the same order."""

    @property
    def streams(self) -> int:
        """How many random streams of other processes its samples draw from."""

    @property
    def comparable(self) -> bool:
        """Whether a consumed batch that is fetched again should be the very same: not so where it
        draws from the generators that the training draws from as well."""

    def begin(self, at: Place) -> tuple[Iterator[Batch_co], int]:
        """The rest of the epoch, and how many of the consumed batches come first once more."""


def source_of(data: Order[Batch] | Iterable[Batch]) -> Source[Batch]:
    """What knows how to begin `data`."""
    if isinstance(data, Order):
        return _Entered(data)
    found: Source[Batch] | None = frameworks.source(data)
    return found or _Repeated(data)


class _Entered:
    """An `Order` depends on (seed, epoch) alone."""

    doubt = ""
    generators = ()
    streams = 0
    comparable = False

    def __init__(self, order: Order[Any]) -> None:
        self._order = order

    def begin(self, at: Place) -> tuple[Iterator[Any], int]:
        return self._order.batches(at.epoch, after=at.samples), 0


class _Repeated:
    """Any other iterable: consumed batches are fetched again."""

    streams = 0

    def __init__(self, data: Iterable[Any]) -> None:
        self._data = data

    @property
    def doubt(self) -> str:
        if self.comparable:
            return ""
        name = type(self._data).__name__
        if isinstance(self._data, Iterator):
            return f"a {name} cannot be begun again: give run.batches() what it iterates over"
        return (
            f"cannot tell whether a {name} yields the same batches again: give run.batches() a "
            "DataLoader itself, or an Order"
        )

    @property
    def comparable(self) -> bool:
        constant = isinstance(self._data, list | tuple | range | np.ndarray)
        return constant or kind_of(self._data) is not None

    @property
    def generators(self) -> Sequence[Any]:
        return generators_in([self._data])

    def begin(self, at: Place) -> tuple[Iterator[Any], int]:
        return iter(self._data), at.batches


def generators_in(holders: Iterable[Any]) -> list[Any]:
    """The random generators that are attributes of these objects, each once."""
    kinds = (np.random.Generator, np.random.RandomState, random.Random, *frameworks.generators())
    found = [
        value
        for holder in holders
        for value in getattr(holder, "__dict__", {}).values()
        if isinstance(value, kinds)
    ]
    return list({id(value): value for value in found}.values())


def capture(source: Source[Any]) -> list[Any]:
    """The states of the data's own generators, as plain data."""
    held = source.generators
    return [codec.to_plain(stateful(value, "generator").state_dict()) for value in held]


def restore(source: Source[Any], states: Sequence[Any]) -> None:
    """Puts them back, if any were kept; raises WrongData if the data has not as many."""
    if not states:
        return
    held = source.generators
    if len(held) != len(states):
        raise WrongData(
            f"the data has {len(held)} random generators of its own, the checkpoint {len(states)}: "
            "make loader, sampler and dataset as they were made when it was written"
        )
    for value, state in zip(held, states, strict=True):
        stateful(value, "generator").load_state_dict(codec.from_plain(state))
