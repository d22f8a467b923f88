"""A script of the Hugging Face Trainer that has never heard of spot nodes.

A tiny language model on made-up text. It saves every 5 steps and can resume, as scripts of the
Trainer do.
"""

import argparse
import json
import time

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)


class Rows(torch.utils.data.Dataset):
    """Sequences that count up from a start; reading one takes its time."""

    def __init__(self, pause: float) -> None:
        self.pause = pause

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(self.pause)
        row = (torch.arange(16) + index) % 64
        return {"input_ids": row, "labels": row}


class Printed(TrainerCallback):
    """One line per step."""

    def on_step_end(
        self, _args: object, state: TrainerState, _control: object, **_more: object
    ) -> None:
        print(json.dumps({"step": state.global_step, "loss": 0.0}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", default="out")
    parser.add_argument("--max_steps", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--resume_from_checkpoint")
    asked = parser.parse_args()
    torch.manual_seed(17)
    model = GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=2, n_embd=32, vocab_size=64, n_positions=16)
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=asked.output_dir,
            max_steps=asked.max_steps,
            per_device_train_batch_size=4,
            save_steps=5,
            save_total_limit=2,
            logging_strategy="no",
            report_to=[],
            use_cpu=True,
            seed=17,
            disable_tqdm=True,
        ),
        train_dataset=Rows(asked.pause),
        callbacks=[Printed()],
    )
    trainer.train(resume_from_checkpoint=asked.resume_from_checkpoint)
    total = sum(float(weight.detach().double().sum()) for weight in model.parameters())
    print(json.dumps({"event": "result", "steps": trainer.state.global_step, "sum": repr(total)}))


if __name__ == "__main__":
    main()
