"""What a training script imports to survive the loss of its node.

import spot_training as spot

run = spot.resume(arrays={"w": w, "m": m}, seed=17)
for epoch in run.epochs(90):
    for rows in run.batches(spot.ShuffledBatches(n, batch_size=32, seed=17)):
        train(rows)
        run.step()
run.complete()
"""

from __future__ import annotations

from spot_training.data import ShuffledBatches
from spot_training.exits import AlreadyCompleted, Paused, Refused, StateDiffers, Stopped
from spot_training.frameworks import seeded
from spot_training.integrations.opening import resume_path
from spot_training.notices import Notice
from spot_training.run import Run
from spot_training.sources import Order, WrongData
from spot_training.starting import refuse, resume
from spot_training.state import Stateful

__version__ = "0.1.0"

__all__ = [
    "AlreadyCompleted",
    "Notice",
    "Order",
    "Paused",
    "Refused",
    "Run",
    "ShuffledBatches",
    "StateDiffers",
    "Stateful",
    "Stopped",
    "WrongData",
    "refuse",
    "resume",
    "resume_path",
    "seeded",
]
