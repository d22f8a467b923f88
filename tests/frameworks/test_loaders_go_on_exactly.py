"""Every kind of loader behind an interruption: with the same bits, or with a word that says not."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spot_training as spot
import torch
from kit.torch_training import (
    BATCH,
    SAMPLES,
    STEPS,
    Augmented,
    Cut,
    Training,
    expect_same_bits,
    interrupted,
    shuffled,
)
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)
WORKERS: dict[str, Any] = {"num_workers": 2, "multiprocessing_context": "fork"}
CUTS = {
    "twice within an epoch": (STEPS + 2, STEPS + 5),
    "at the boundary": (STEPS,),
    "two epochs later": (3, -STEPS, 2 * STEPS + 1),
}


def generator() -> Any:
    return torch.Generator().manual_seed(5)


def sampled(sampler: Any) -> DataLoader[Any]:
    return DataLoader(Augmented(), batch_size=BATCH, sampler=sampler)


class DrawsForItself(Augmented):
    """Has generators of its own."""

    def __init__(self) -> None:
        self.drawn = np.random.default_rng(1), random.Random(2)
        self.numpy, self.python = self.drawn
        self.old = np.random.RandomState(3)

    def __getitem__(self, index: int) -> Any:
        noise = self.numpy.random() + self.python.random() + self.old.random_sample()
        return super().__getitem__(index) + noise


WEIGHTS = [1.0 + index for index in range(SAMPLES)]
EXACT: dict[str, Callable[[], Any]] = {
    "in order, drawing for itself": lambda: DataLoader(Augmented(), batch_size=BATCH),
    "a generator of the loader's own": lambda: shuffled(generator=generator()),
    "a generator of the sampler's own": lambda: sampled(
        RandomSampler(Augmented(), generator=generator())
    ),
    "drawn with replacement": lambda: sampled(
        RandomSampler(Augmented(), replacement=True, generator=generator())
    ),
    "weights": lambda: sampled(WeightedRandomSampler(WEIGHTS, SAMPLES)),
    "weights and a generator": lambda: sampled(
        WeightedRandomSampler(WEIGHTS, SAMPLES, generator=generator())
    ),
    "a random subset": lambda: sampled(SubsetRandomSampler(range(SAMPLES), generator())),
    "batches of a sampler's": lambda: DataLoader(
        Augmented(),
        batch_sampler=BatchSampler(RandomSampler(Augmented(), generator=generator()), BATCH, True),
    ),
    "shared among ranks": lambda: sampled(
        DistributedSampler(Augmented(), num_replicas=1, rank=0, seed=4)
    ),
    "a dataset with generators": lambda: DataLoader(
        DrawsForItself(), batch_size=BATCH, shuffle=True
    ),
    "two workers that begin anew each epoch": lambda: shuffled(prefetch_factor=3, **WORKERS),
    "seeds per sample": lambda: DataLoader(
        spot.seeded(Augmented(), seed=6), batch_size=BATCH, shuffle=True
    ),
    "seeds per sample, workers that persist": lambda: DataLoader(
        spot.seeded(Augmented(), seed=6),
        batch_size=BATCH,
        shuffle=True,
        persistent_workers=True,
        generator=generator(),
        **WORKERS,
    ),
    "seeded samples one by one": lambda: DataLoader(
        spot.seeded(Augmented(), seed=6), batch_size=None, shuffle=True
    ),
    "a part of seeded samples": lambda: DataLoader(
        Subset(spot.seeded(Augmented(), seed=6), range(SAMPLES)), batch_size=BATCH, shuffle=True
    ),
}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("kind", EXACT)
def test_the_bits_are_the_same(tmp_path: Path, kind: str, cuts: tuple[int, ...]) -> None:
    """Elsewhere samplers that had drawn already drew once more (huggingface/accelerate#2016,
    #4233), and what workers had fetched ahead counted as consumed (#3034)."""
    whole = Training(tmp_path / "whole", EXACT[kind]).attempt()
    cut = Training(tmp_path / "cut", EXACT[kind])
    expect_same_bits(interrupted(cut, cuts), whole)
    assert cut.exactness() == {"exact": True}


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return (torch.full((8,), n / SAMPLES) for n in range(SAMPLES))


class AsItGoes(Sampler[int]):
    def __iter__(self) -> Iterator[int]:
        return (int(torch.randint(SAMPLES, ())) for _ in range(SAMPLES))

    def __len__(self) -> int:
        return SAMPLES


class Patient(DataLoader[Any]):
    """Somebody's own loader."""


DOUBTFUL: dict[str, tuple[Callable[[], Any], str]] = {
    "workers that persist": (
        lambda: shuffled(persistent_workers=True, **WORKERS),
        r"persistent_workers=True keeps random state.*spot\.seeded",
    ),
    "workers in any order": (lambda: shuffled(in_order=False, **WORKERS), "in_order=False"),
    "a stream": (lambda: DataLoader(Stream(), batch_size=BATCH), "whether an IterableDataset"),
    "a sampler that draws as it goes": (lambda: sampled(AsItGoes()), "whether a AsItGoes draws"),
    "another loader": (lambda: Patient(Augmented(), batch_size=BATCH), "whether a Patient yields"),
    "an iterator": (lambda: iter([torch.ones(4, 8)] * 30), "a list_iterator cannot be begun again"),
    "something that wraps a loader": (lambda: zip(shuffled(), strict=True), "give run.batches()"),
}


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_what_is_not_sure_is_told_before_it_matters(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make, why = DOUBTFUL[kind]
    training = Training(tmp_path, make)
    training.make()
    run = spot.resume(directory=tmp_path, extras={})
    next(run.batches(training.data))
    run.step()
    run.complete()
    told = training.exactness()
    assert told["exact"] is False
    assert re.search(why, told["why"])
    assert capfd.readouterr().err.count("exact resume is not guaranteed") == 1


def test_workers_that_persist_do_have_other_bits(tmp_path: Path) -> None:
    """What is told of them is true."""
    make = DOUBTFUL["workers that persist"][0]
    whole = Training(tmp_path / "whole", make).attempt()
    with pytest.raises(AssertionError):
        expect_same_bits(interrupted(Training(tmp_path / "cut", make), (STEPS + 2,)), whole)


class Unseeded(Augmented):
    """Draws from the system."""

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index) + int.from_bytes(os.urandom(2))


def unseeded(**options: Any) -> DataLoader[Any]:
    return DataLoader(Unseeded(), batch_size=BATCH, **options)


OTHER: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
    "samples drawn from the system": (
        lambda: unseeded(**WORKERS),
        lambda: unseeded(**WORKERS),
        "batch 3 of epoch 1 changed when it was fetched again",
    ),
    "seeded samples that draw from the system all the same": (
        lambda: DataLoader(spot.seeded(Unseeded(), seed=1), batch_size=BATCH),
        lambda: DataLoader(spot.seeded(Unseeded(), seed=1), batch_size=BATCH),
        "batch 3 of epoch 1 changed when it was fetched again",
    ),
    "another order": (
        lambda: shuffled(**WORKERS),
        lambda: DataLoader(Augmented(), batch_size=BATCH, **WORKERS),
        "batch 3 of epoch 1 changed when it was fetched again",
    ),
    "another number of workers": (
        shuffled,
        lambda: shuffled(**WORKERS),
        "epoch 1 was begun with 0 workers and goes on with 2",
    ),
}


@pytest.mark.parametrize("kind", OTHER)
def test_a_batch_that_came_back_different_is_seen_and_stays_told(tmp_path: Path, kind: str) -> None:
    first, then, why = OTHER[kind]
    training = Training(tmp_path, first)
    with pytest.raises(Cut):
        training.attempt(STEPS + 3)
    assert training.exactness() == {"exact": True}
    training.loader = then
    training.attempt()
    told = training.exactness()
    assert told["exact"] is False
    assert why in told["why"]


def test_consumed_samples_are_not_fetched_again_if_each_has_a_seed(tmp_path: Path) -> None:
    class Counted(Augmented):
        fetched = 0

        def __getitem__(self, index: int) -> Any:
            Counted.fetched += 1
            return super().__getitem__(index)

    training = Training(
        tmp_path, lambda: DataLoader(spot.seeded(Counted(), seed=6), batch_size=BATCH, shuffle=True)
    )
    interrupted(training, (STEPS - 1,))
    looked_at = BATCH  # the last batch, once more: it is compared
    assert Counted.fetched == 3 * SAMPLES + looked_at


def test_seeded_samples_leave_the_trainers_own_draws_alone() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))

    seeded = spot.seeded(Augmented(), seed=6)
    torch.manual_seed(1)
    expected = draws()
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    sample = seeded[3]
    assert torch.equal(seeded[3], sample)
    assert not torch.equal(seeded[4], sample)
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])
    assert expected != draws()


@pytest.mark.parametrize(("index", "said"), [("name", "integer"), (1.5, "integer")])
def test_a_seed_needs_an_index(index: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        spot.seeded(Augmented(), seed=6)[index]
    with pytest.raises(ValueError, match="seed=-1"):
        spot.seeded(Augmented(), seed=-1)
