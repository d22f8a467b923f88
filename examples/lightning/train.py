"""A small classifier with Lightning that survives being killed at any moment.

    python train.py                  # kill it as often as you like, and start it again
    spot-training verify --kills 2 -- python train.py

It tells on which side of a circle made-up, noisy points lie; nothing is downloaded. The last line
is the same however often it was killed.
"""

import argparse
import hashlib
import time

import lightning
import spot_training as spot
import torch
from spot_training.integrations.lightning import SpotCallback


class Points(torch.utils.data.Dataset):
    """Points with noise that is drawn anew at each reading, and their side; reading takes time."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.points = torch.rand(320, 2, generator=torch.Generator().manual_seed(17)) * 2 - 1

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(self.pause)
        point = self.points[index]
        return point + 0.05 * torch.randn(2), (point.norm() > 0.8).long()


class Classifier(lightning.LightningModule):
    """Two layers with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(32, 2)
        )

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        points, sides = batch
        return torch.nn.functional.cross_entropy(self.layers(points), sides)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds to read one sample")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # sums are added in one order
    lightning.seed_everything(17)
    model, survival = Classifier(), SpotCallback()
    trainer = lightning.Trainer(
        max_epochs=asked.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,  # checkpoints are the callback's business
        callbacks=[survival],
    )
    loader = torch.utils.data.DataLoader(Points(asked.pause), batch_size=8, shuffle=True)
    trainer.fit(model, loader, ckpt_path=spot.resume_path())
    torch.save(model.state_dict(), "model.pt")
    survival.complete()
    weights = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
    print("weights", hashlib.sha256(weights).hexdigest()[:16])


if __name__ == "__main__":
    main()
