"""A linear model in numpy that survives being killed at any moment. Needs no Kubernetes.

    python train.py                   # kill it as often as you like, and start it again
    SPOT_DIR=/data/run7 python train.py

The weights and their momentum are restored in place, the order of the samples and the random
state go on where they stopped: the final line is the same however often it was killed.
"""

from __future__ import annotations

import hashlib
import sys
import time

import numpy as np
import spot_training as spot

SAMPLES, FEATURES, EPOCHS, SEED = 4096, 256, 20, 7


def main(seconds_per_step: float = 0.02) -> None:
    """Train, saving every two seconds; print the fingerprint of the result."""
    inputs, targets = make_data()
    weights, momentum = np.zeros(FEATURES), np.zeros(FEATURES)
    best = {"loss": float("inf")}

    run = spot.resume(
        arrays={"weights": weights, "momentum": momentum},
        extras=best,
        seed=SEED,
        interval=2.0,
        on_notice=lambda notice: print(f"notice: {notice.kind}", flush=True),
    )
    order = spot.ShuffledBatches(SAMPLES, batch_size=64, seed=SEED)
    for epoch in run.epochs(EPOCHS):
        for rows in run.batches(order):
            noisy = inputs[rows] + 0.1 * run.rng.standard_normal((len(rows), FEATURES))
            error = noisy @ weights - targets[rows]
            momentum *= 0.9
            momentum += noisy.T @ error / len(rows)
            weights -= 0.01 * momentum
            time.sleep(seconds_per_step)
            run.step(loss=float((error**2).mean()))
        best["loss"] = min(best["loss"], run.metrics["loss"])
        print(f"epoch {epoch}: step {run.current_step}, best loss {best['loss']:.4f}", flush=True)
    run.complete()
    print("weights", hashlib.sha256(weights.tobytes()).hexdigest()[:16])


def make_data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs (SAMPLES x FEATURES) and targets of a hidden linear model."""
    draw = np.random.default_rng(SEED)
    inputs = draw.standard_normal((SAMPLES, FEATURES))
    return inputs, inputs @ draw.standard_normal(FEATURES)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
