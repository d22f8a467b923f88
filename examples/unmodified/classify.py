"""A script of Lightning that has never heard of spot nodes.

A small classifier on made-up points. It saves every 5 steps and can resume, as scripts of Lightning
do.
"""

import argparse
import json
import time

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint


class Points(torch.utils.data.Dataset):
    """Points, and on which side of a line they lie; reading one takes its time."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.points = torch.rand(400, 2, generator=torch.Generator().manual_seed(17))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(self.pause)
        point = self.points[index]
        return point, (point.sum() > 1).long()


class Classifier(lightning.LightningModule):
    """One layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        points, sides = batch
        return torch.nn.functional.cross_entropy(self.layer(points), sides)

    def on_train_batch_end(self, *_: object) -> None:
        print(json.dumps({"step": self.global_step, "loss": 0.0}), flush=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default="out")
    parser.add_argument("--max_steps", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--ckpt_path")
    asked = parser.parse_args()
    lightning.seed_everything(17)
    model = Classifier()
    trainer = lightning.Trainer(
        default_root_dir=asked.root,
        max_steps=asked.max_steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(every_n_train_steps=5, save_top_k=-1)],
    )
    loader = torch.utils.data.DataLoader(Points(asked.pause), batch_size=4)
    trainer.fit(model, loader, ckpt_path=asked.ckpt_path)
    total = float(model.layer.weight.detach().double().sum())
    print(json.dumps({"event": "result", "steps": trainer.global_step, "sum": repr(total)}))


if __name__ == "__main__":
    main()
