"""Killed while a checkpoint is on its way to a bucket, a training ends with the same bits."""

from __future__ import annotations

from pathlib import Path

from kit.killed_uploads import expect_the_same_bits
from kit.stores import S3Server

NUMPY = """
w, m, ballast = np.zeros(64), np.zeros(64), np.zeros(size, "f4")
run = spot.resume(arrays={"w": w, "m": m, "ballast": ballast}, seed=7)
tell(event="resumed", step=run.current_step)
for epoch in run.epochs(steps // 5):
    for rows in run.batches(spot.ShuffledBatches(20, 4, seed=5)):
        m *= 0.9
        m += rows.sum() * run.rng.standard_normal(64) * (np.random.rand(64) > 0.3)
        w -= 0.1 * m
        ballast += np.float32(np.random.rand())
        time.sleep(pause)
        tell(event="step", step=run.current_step + 1)
        run.step(loss=float(w[0]))
result = number(w.tobytes(), m.tobytes(), ballast.tobytes(), run.rng.bytes(8))
run.complete()
tell(event="complete", w=result)
"""


def test_the_bits_are_the_same(folder: Path, s3: S3Server) -> None:
    expect_the_same_bits(folder, s3, NUMPY)
