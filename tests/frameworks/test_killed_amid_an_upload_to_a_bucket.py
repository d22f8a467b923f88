"""Killed while a checkpoint is on its way to a bucket, a torch training ends with the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.killed_uploads import expect_the_same_bits
from kit.sidecar import BUCKET
from kit.stores import s3_server

TORCH = """
import torch
from torch.utils.data import DataLoader

class Noisy:
    def __len__(self):
        return 40
    def __getitem__(self, index):
        return torch.full((8,), index / 40) + 0.1 * torch.randn(8)

torch.manual_seed(3)
model = torch.nn.Sequential(
    torch.nn.Linear(8, 16), torch.nn.Dropout(0.3), torch.nn.Linear(16, 1)
).bfloat16()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, amsgrad=True)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
ballast = torch.zeros(size)
run = spot.resume(model=model, optimizer=optimizer, scheduler=scheduler,
                  extras={"ballast": ballast}, seed=7)
tell(event="resumed", step=run.current_step)
loader = DataLoader(Noisy(), batch_size=4, shuffle=True)
for epoch in run.epochs(steps // 5):
    for count, batch in enumerate(run.batches(loader), 1):
        loss = (model(batch.bfloat16()).float() - 1).pow(2).mean() / 2
        loss.backward()
        if count % 2:
            continue  # gradients accumulate
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        ballast += torch.rand(())
        time.sleep(pause)
        tell(event="step", step=run.current_step + 1)
        run.step(loss=float(loss))
held = [*model.state_dict().values(), ballast, torch.rand(4)]
held += [value for state in optimizer.state.values() for value in state.values()]
result = number(*(value.reshape(-1).view(torch.uint8).numpy().tobytes() for value in held))
run.complete()
tell(event="complete", w=result)
"""


def test_the_bits_are_the_same(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With dropout, augmentation, bfloat16 parameters and gradients that accumulate."""
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        s3.make_bucket(BUCKET)
        expect_the_same_bits(tmp_path, s3, TORCH)
