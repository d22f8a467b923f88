"""`resume_path` with a framework of a test: what opens an attempt and who gets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import spot_training as spot
from kit.trainers import global_randomness
from spot_training.integrations.opening import announce
from spot_training.run import NoticeCallback, Run
from spot_training.starting import Opened, take_up
from spot_training.state import CARRIED, TrainingState


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SPOT_SOCKET", "SPOT_DIR", "SPOT_INTERVAL", "SPOT_GRACE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    with global_randomness():
        yield


class Loop:
    """A framework: it knows its step before it has any state, and counts in its own way."""

    def __init__(self, framework: str = "Loop") -> None:
        self.framework = framework
        self.position = 0
        self.w = np.zeros(3)
        announce(self)

    def accept(self, opened: Opened, on_notice: NoticeCallback | None) -> str | None:
        self.opened, self.on_notice = opened, on_notice
        if opened.restore is None:
            return None
        self.position = opened.plain[CARRIED]["position"]
        return f"position {self.position}"

    def begin(self) -> Run:
        state = TrainingState(arrays={"w": self.w}, carried=self._carried)
        return take_up(self.opened, state, on_notice=self.on_notice)

    def _carried(self) -> dict[str, object]:
        return {"framework": self.framework, "position": self.position}


def trained(directory: Path) -> None:
    loop = Loop()
    assert spot.resume_path(directory=directory) is None
    run = loop.begin()
    loop.w += 1
    loop.position = 10
    run.step()
    assert run.save()
    assert run._ticket is not None
    assert run._ticket.wait(10)
    run._backend.close()


def test_the_position_comes_before_the_state(tmp_path: Path) -> None:
    trained(tmp_path)
    loop = Loop()
    assert spot.resume_path(directory=tmp_path) == "position 10"
    assert loop.w.tolist() == [0, 0, 0]
    run = loop.begin()
    assert loop.w.tolist() == [1, 1, 1]
    assert run.current_step == 1
    run.complete()
    Loop()
    with pytest.raises(spot.AlreadyCompleted):
        spot.resume_path(directory=tmp_path)


def test_the_callback_made_last_gets_the_attempt_once(tmp_path: Path) -> None:
    forgotten, loop = Loop(), Loop()
    spot.resume_path(directory=tmp_path)
    loop.opened.backend.close()
    assert not hasattr(forgotten, "opened")
    with pytest.raises(RuntimeError, match="is for a trainer with a SpotCallback"):
        spot.resume_path(directory=tmp_path)


def test_another_framework_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    Loop("Coil")
    with pytest.raises(spot.Refused, match="written by Loop, this script trains with Coil"):
        spot.resume_path(directory=tmp_path)
    with pytest.raises(spot.Refused, match="the checkpoint does not fit this script"):
        spot.resume(extras={"a": 1}, directory=tmp_path)
