"""Train the digits network; survive the loss of the node it runs on.

The same script runs without Kubernetes: `SPOT_DIR=/tmp/digits python train.py --data digits.npz`.
It prints one JSON line per step, so that anybody can see which steps ran, and in which attempt.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import spot_training as spot
from network import Network

SEED = 17
HELD_OUT = 297


def main() -> None:
    """Train to the end, or until `spot.Paused` says that the state is safe and the node goes."""
    options = parse_options()
    with np.load(options.data) as data:
        images, labels = data["images"], data["labels"]
    network = Network(options.width, SEED)
    run = spot.resume(arrays=network.state(), seed=SEED, on_notice=tell)
    say(event="resumed", attempt=run.attempt, step=run.current_step)

    order = spot.ShuffledBatches(len(images) - HELD_OUT, options.batch, seed=SEED)
    for epoch in run.epochs(options.epochs):
        for rows in run.batches(order):
            rate = options.rate * 0.9**epoch
            loss = network.step(images[rows], labels[rows], run.rng, rate=rate)
            say(attempt=run.attempt, step=run.current_step + 1, loss=loss)
            run.step(loss=loss)
    accuracy = network.accuracy(images[-HELD_OUT:], labels[-HELD_OUT:])
    say(event="trained", attempt=run.attempt, steps=run.current_step, accuracy=accuracy)
    run.complete()


def parse_options() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/data/digits.npz", help="file written by prepare.py")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32, help="images per step")
    parser.add_argument("--width", type=int, default=2880, help="neurons per hidden layer")
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate of the first epoch")
    return parser.parse_args()


def tell(notice: spot.Notice) -> None:
    """Print what the trainer heard, and when; saving and pausing is `run.step`'s work."""
    say(event="notice", kind=notice.kind, source=notice.source, secondsLeft=notice.seconds_left())


def say(**line: Any) -> None:
    """Print one JSON line at once."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
