"""A torch training that is cut off ends with the same bits as one that is not.

An interruption here drops every object and scrambles the global generators; processes that are
really killed are the business of the tests of stores and of the campaign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import spot_training as spot
import torch
from kit.trainers import global_randomness
from torch.utils.data import DataLoader, Dataset

EPOCHS, SAMPLES, BATCH = 3, 40, 4
STEPS = SAMPLES // BATCH


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SPOT_SOCKET", "SPOT_DIR", "SPOT_INTERVAL", "SPOT_GRACE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    state = torch.get_rng_state()
    with global_randomness():
        yield
    torch.set_rng_state(state)


class Augmented(Dataset[Any]):
    """Samples with noise drawn from the global generator each time they are read."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        return torch.full((8,), index / SAMPLES) + 0.1 * torch.randn(8)


class Cut(Exception):  # noqa: N818 - an event, no error
    """The training was interrupted."""


@dataclass
class Training:
    """Everything a script would make again at each start."""

    directory: Path
    dtype: Any = torch.float32
    accumulate: int = 1
    loader: dict[str, Any] = field(default_factory=lambda: {"shuffle": True})

    def make(self) -> None:
        torch.manual_seed(3)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(8, 16), torch.nn.Dropout(0.3), torch.nn.Linear(16, 1)
        ).to(self.dtype)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, [4, 9, 9], 0.5)
        self.average = torch.optim.swa_utils.AveragedModel(self.model)
        self.data = DataLoader(Augmented(), batch_size=BATCH, **self.loader)

    def attempt(self, cut_after: int | None) -> dict[str, Any]:
        """Runs to the end, or to the commit of step `cut_after`; raises Cut there."""
        self.make()
        self.run = spot.resume(
            model=self.model,
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            extras={"average": self.average},
            seed=17,
            directory=self.directory,
            interval=1000,
        )
        for _epoch in self.run.epochs(EPOCHS):
            for number, batch in enumerate(self.run.batches(self.data)):
                self._learn(batch)
                if (number + 1) % self.accumulate == 0:
                    self._step()
                    if self.run.current_step == cut_after:
                        self._cut()
        found = self._state()
        self.run.complete()
        return found

    def _learn(self, batch: Any) -> None:
        loss = (self.model(batch.to(self.dtype)).float() - 1).pow(2).mean()
        (loss / self.accumulate).backward()

    def _step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.scheduler.step()
        self.average.update_parameters(self.model)
        self.run.step()

    def _cut(self) -> None:
        assert self.run.save()
        assert self.run._ticket is not None
        assert self.run._ticket.wait(30)
        self.run._backend.close()
        torch.manual_seed(99)
        raise Cut

    def _state(self) -> dict[str, Any]:
        moments = self.optimizer.state_dict()["state"]
        found = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        found |= {f"average/{name}": value for name, value in self.average.state_dict().items()}
        for index, state in moments.items():
            found |= {f"moment/{index}/{name}": value for name, value in state.items()}
        return {name: value.clone() for name, value in found.items()}


def interrupted(training: Training, cuts: tuple[int, ...]) -> dict[str, Any]:
    for cut in cuts:
        with pytest.raises(Cut):
            training.attempt(cut)
    return training.attempt(None)


def expect_same_bits(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


Make = Callable[[Path], Training]
KINDS: dict[str, Make] = {
    "dropout and augmentation": Training,
    "in order, drawing for itself": lambda path: Training(path, loader={"shuffle": False}),
    "bfloat16 parameters": lambda path: Training(path, dtype=torch.bfloat16),
    "workers that begin anew each epoch": lambda path: Training(
        path, loader={"shuffle": True, "num_workers": 1, "multiprocessing_context": "fork"}
    ),
}
CUTS = {
    "twice within an epoch": (STEPS + 2, STEPS + 5),
    "at the boundary": (STEPS,),
    "behind the first step, and at the end": (1, EPOCHS * STEPS),
}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_the_bits_are_the_same(tmp_path: Path, make: Make, cuts: tuple[int, ...]) -> None:
    whole = make(tmp_path / "whole").attempt(None)
    expect_same_bits(interrupted(make(tmp_path / "cut"), cuts), whole)


def test_steps_are_optimizer_steps_when_gradients_accumulate(tmp_path: Path) -> None:
    whole = Training(tmp_path / "whole", accumulate=2).attempt(None)
    cut = Training(tmp_path / "cut", accumulate=2)
    expect_same_bits(interrupted(cut, (3, 7)), whole)
    assert cut.run.current_step == EPOCHS * STEPS // 2
    assert cut.run.samples == EPOCHS * SAMPLES


def forgets(states: Any) -> None:
    """Puts nothing back."""


def test_without_torchs_random_state_the_bits_would_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison can fail: this is what it looks like."""
    whole = Training(tmp_path / "whole").attempt(None)
    monkeypatch.setattr("spot_training.torch_state.randomness.restore", forgets)
    with pytest.raises(AssertionError):
        expect_same_bits(interrupted(Training(tmp_path / "cut"), (STEPS + 2,)), whole)
