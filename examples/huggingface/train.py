"""A tiny language model with the Hugging Face Trainer that survives being killed at any moment.

    python train.py                  # kill it as often as you like, and start it again
    spot-training verify --kills 2 -- python train.py

It learns to count from made-up text; nothing is downloaded. The last line is the same however often
it was killed.
"""

import argparse
import hashlib
import time

import spot_training as spot
import torch
from spot_training.integrations.huggingface import SpotCallback
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments


class Rows(torch.utils.data.Dataset):
    """Sequences that count up from a start; reading one takes its time."""

    def __init__(self, pause: float) -> None:
        self.pause = pause

    def __len__(self) -> int:
        return 320

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(self.pause)
        row = (torch.arange(16) + index) % 64
        return {"input_ids": row, "labels": row}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds to read one sample")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # sums are added in one order
    torch.manual_seed(17)
    model = GPT2LMHeadModel(
        GPT2Config(n_layer=2, n_head=2, n_embd=32, vocab_size=64, n_positions=16)
    )
    survival = SpotCallback()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir="out",
            num_train_epochs=asked.epochs,
            per_device_train_batch_size=8,
            save_strategy="no",  # checkpoints are the callback's business
            logging_steps=20,
            report_to=[],
            use_cpu=True,
            seed=17,
            disable_tqdm=True,
        ),
        train_dataset=Rows(asked.pause),
        callbacks=[survival],
    )
    trainer.train(resume_from_checkpoint=spot.resume_path())
    trainer.save_model("out/model")
    survival.complete()
    weights = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
    print("weights", hashlib.sha256(weights).hexdigest()[:16])


if __name__ == "__main__":
    main()
