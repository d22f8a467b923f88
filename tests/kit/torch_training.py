"""A small torch training on a real lineage in a directory, cut off wherever a test says.

An interruption here drops every object and scrambles the global generators; processes that are
really killed are the business of the tests of stores and of the campaign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spot_training as spot
import torch
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.manifest import Manifest
from spot_training.checkpoint.stores.directory import DirectoryStore
from torch.utils.data import DataLoader

EPOCHS, SAMPLES, BATCH = 3, 40, 4
STEPS = SAMPLES // BATCH


class Augmented:
    """Samples with noise drawn from the global generators each time they are read."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        noise = 0.1 * torch.randn(8) + np.random.random()
        return torch.full((8,), index / SAMPLES) + noise


class Cut(Exception):  # noqa: N818 - an event, no error
    """The training was interrupted."""


def shuffled(**options: Any) -> DataLoader[Any]:
    """The usual loader."""
    return DataLoader(Augmented(), batch_size=BATCH, shuffle=True, **options)


@dataclass
class Training:
    """Everything a script would make again at each start."""

    directory: Path
    loader: Callable[[], Any] = shuffled
    dtype: Any = torch.float32
    accumulate: int = 1

    def make(self) -> None:
        torch.manual_seed(3)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(8, 16), torch.nn.Dropout(0.3), torch.nn.Linear(16, 1)
        ).to(self.dtype)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, [4, 9, 9], 0.5)
        self.average = torch.optim.swa_utils.AveragedModel(self.model)
        self.means = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.data = self.loader()

    def attempt(self, cut: int | None = None) -> dict[str, Any]:
        """Runs to the end, or until step `cut`, which raises Cut: committed if it is positive,
        lost with everything since the last commit if it is negative."""
        self.make()
        self.run = spot.resume(
            model=self.model,
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            extras={"average": self.average, "means": self.means},
            seed=17,
            directory=self.directory,
            interval=1000,
        )
        for epoch in self.run.epochs(EPOCHS):
            sampler = getattr(self.data, "sampler", None)
            if isinstance(sampler, torch.utils.data.DistributedSampler):
                sampler.set_epoch(epoch)
            for number, batch in enumerate(self.run.batches(self.data)):
                self._learn(batch)
                if (number + 1) % self.accumulate == 0:
                    self._step()
                    if cut is not None and self.run.current_step == abs(cut):
                        self._cut(saved=cut > 0)
        found = self._state()
        self.run.complete()
        return found

    def exactness(self) -> Any:
        """What the newest checkpoint tells of it."""
        return self.newest().dataset

    def newest(self) -> Manifest:
        store = DirectoryStore(self.directory)
        return verify.read_manifest(store, str(keys.parse_commit(store.list(keys.COMMITS)[0])))

    def _learn(self, batch: Any) -> None:
        loss = (self.model(batch.to(self.dtype)).float() - 1).pow(2).mean()
        (loss / self.accumulate).backward()

    def _step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.scheduler.step()
        self.average.update_parameters(self.model)
        for name, parameter in self.model.named_parameters():
            self.means[name].lerp_(parameter.detach(), 0.1)
        self.run.step()

    def _cut(self, *, saved: bool) -> None:
        if saved:
            assert self.run.save()
            assert self.run._ticket is not None
            assert self.run._ticket.wait(30)
        self.run._backend.close()
        torch.manual_seed(99)
        np.random.seed(99)
        raise Cut

    def _state(self) -> dict[str, Any]:
        moments = self.optimizer.state_dict()["state"]
        found = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        found |= {f"average/{name}": value for name, value in self.average.state_dict().items()}
        found |= {f"means/{name}": value for name, value in self.means.items()}
        for index, state in moments.items():
            found |= {f"moment/{index}/{name}": value for name, value in state.items()}
        return {name: value.clone() for name, value in found.items()}


def interrupted(training: Training, cuts: tuple[int, ...]) -> dict[str, Any]:
    """The state at the end of a training that was cut at each of these steps."""
    for cut in cuts:
        with pytest.raises(Cut):
            training.attempt(cut)
    return training.attempt(None)


def expect_same_bits(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
