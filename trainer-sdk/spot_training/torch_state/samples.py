"""A dataset whose samples depend on (seed, epoch, index) alone, whoever fetches them and when."""

from __future__ import annotations

import operator
import random
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info


class SeededSamples:
    """`dataset` with python's, numpy's and torch's global generators seeded for each sample.

    In the trainer's own process they are put back afterwards. In a worker they are not: what
    collates a batch there draws on behind the last sample's numbers, and so is as exact.
    """

    def __init__(self, dataset: Any, *, seed: int) -> None:
        self.dataset = dataset
        self._seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers may persist

    def begin(self, epoch: int) -> None:
        """Samples are of this epoch now, in every process."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        """Raises TypeError for indices that are not integers."""
        number = operator.index(index)
        if get_worker_info() is not None:
            self._seed_for(number)
            return self.dataset[index]
        held = random.getstate(), np.random.get_state(), torch.get_rng_state()
        try:
            self._seed_for(number)
            return self.dataset[index]
        finally:
            random.setstate(held[0])
            np.random.set_state(held[1])
            torch.set_rng_state(held[2])

    def _seed_for(self, index: int) -> None:
        place = np.random.SeedSequence([self._seed, int(self._epoch), index])
        first, second, third = (int(number) for number in place.generate_state(3, np.uint64))
        random.seed(first)
        np.random.seed(second % 2**32)
        torch.default_generator.manual_seed(third)  # the CPU's alone: no sample draws on a GPU
