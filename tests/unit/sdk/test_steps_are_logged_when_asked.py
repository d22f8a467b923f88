import math
from pathlib import Path

import numpy as np
import pytest
import spot_training as spot
from spot_training import steplog


def trained(directory: Path, steps: int) -> None:
    run = spot.resume(arrays={"w": np.zeros(3)}, directory=directory, interval=100)
    for step in range(steps):
        run.step(samples=4, loss=math.nan if step == 1 else 0.1 * step)
    run.complete()


def test_one_line_for_the_beginning_and_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "steps.jsonl"
    monkeypatch.setenv(steplog.VARIABLE, str(log))
    trained(tmp_path / "lineage", 3)
    lines = steplog.read(log)
    assert [(line.kind, line.attempt, line.step, line.samples) for line in lines] == [
        ("begin", 1, 0, 0), ("step", 1, 1, 4), ("step", 1, 2, 8), ("step", 1, 3, 12),
    ]  # fmt: skip
    assert lines[3].metrics == {"loss": 0.2}
    assert math.isnan(lines[2].metrics["loss"])
    assert lines[0].at <= lines[3].at


def test_nothing_is_written_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(steplog.VARIABLE, raising=False)
    trained(tmp_path / "lineage", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["lineage"]


def test_only_the_first_process_of_a_job_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(steplog.VARIABLE, str(tmp_path / "log"))
    monkeypatch.setenv("RANK", "1")
    assert steplog.from_environment() is None


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "log"
    writer = steplog.StepLog(log)
    writer.write(steplog.Line("begin", 1, 0, 1.0))
    writer.close()
    log.write_bytes(log.read_bytes() + b'{"kind": "st')
    assert [line.kind for line in steplog.read(log)] == ["begin"]
    assert steplog.read(tmp_path / "none") == []
