"""A torch training that survives being killed at any moment. Needs no Kubernetes.

    python train.py                   # kill it as often as you like, and start it again
    SPOT_DIR=/data/run7 python train.py

Images are augmented in worker processes that live on from epoch to epoch. Every sample has a seed,
so they need not be done again after an interruption: the final line is the same however often it
was killed.
"""

from __future__ import annotations

import hashlib
import sys
import time
from typing import Any

import spot_training as spot
import torch
from torch.utils.data import DataLoader

IMAGES, CLASSES, EPOCHS, BATCH, SEED = 640, 4, 8, 32, 7


def main(seconds_per_step: float = 0.05) -> None:
    """Train, saving every two seconds; print the fingerprint of the result."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    model = make_model().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    steps = EPOCHS * IMAGES // BATCH
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    averages = {name: p.detach().clone() for name, p in model.named_parameters()}

    run = spot.resume(
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        extras={"averages": averages},
        seed=SEED,
        interval=2.0,
    )
    loader = DataLoader(
        spot.seeded(Images(), seed=SEED),
        batch_size=BATCH,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
    )
    for epoch in run.epochs(EPOCHS):
        for images, labels in run.batches(loader):
            guesses = model(images.to(memory_format=torch.channels_last))
            loss = torch.nn.functional.cross_entropy(guesses, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            for name, parameter in model.named_parameters():
                averages[name].lerp_(parameter.detach(), 0.01)
            time.sleep(seconds_per_step)
            run.step(loss=loss.item())
        print(f"epoch {epoch}: step {run.current_step}, loss {run.metrics['loss']:.4f}", flush=True)
    run.complete()
    print("averages", fingerprint(averages))


class Images:
    """Noisy stripes, shifted at random and noisy anew each time; the label says their direction."""

    def __init__(self) -> None:
        self.labels = torch.arange(IMAGES) % CLASSES

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        label = self.labels[index]
        angle = label * torch.pi / CLASSES
        x, y = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="xy")
        shift = 2 * torch.pi * torch.rand(())
        stripes = torch.sin(x * torch.cos(angle) + y * torch.sin(angle) + shift)
        return stripes.expand(3, -1, -1) + 0.5 * torch.randn(3, 16, 16), label


def make_model() -> torch.nn.Module:
    """A small network of convolutions with dropout."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, stride=2),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(144, CLASSES),
    )


def fingerprint(tensors: dict[str, Any]) -> str:
    """The same for the same bits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
