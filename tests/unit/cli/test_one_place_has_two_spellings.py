"""The end of an epoch is the start of the next: neither is a difference between two runs."""

from __future__ import annotations

from typing import Any

import pytest
from spot_training.cli.compare.place import alike
from spot_training.cli.compare.plain import differences


def a_state(epoch: int, batches: int, samples: int, *, step: int = 320, **more: Any) -> Any:
    cursor = {"epoch": epoch, "batches": batches, "epochSamples": 4 * batches, "samples": samples}
    return {"position": {"step": step, "cursor": cursor | more}, "rng": [1, 2]}


END = a_state(3, 80, 1280, begunWith={"python": 1})


@pytest.mark.parametrize(("other", "differs"), [
    (a_state(3, 80, 1280, begunWith={"python": 1}), []),
    (a_state(4, 0, 1280, begunWith=None), []),
    (a_state(4, 0, 1276, begunWith={"python": 1}), ["batches", "epoch", "epochSamples", "samples"]),
    (a_state(5, 0, 1280, begunWith={"python": 1}), ["batches", "epoch", "epochSamples"]),
    (a_state(4, 1, 1280, begunWith={"python": 1}), ["batches", "epoch", "epochSamples"]),
    (a_state(4, 0, 1280, begunWith=None, doubt="workers persist"), ["doubt"]),
    (a_state(4, 0, 1280, step=319, begunWith=None), ["step"]),
])  # fmt: skip
def test_only_other_places_differ(other: Any, differs: list[str]) -> None:
    for pair in ((END, other), (other, END)):
        told = [line.partition(":")[0].rpartition("/")[2] for line in differences(*alike(*pair))]
        assert told == differs


def test_states_without_a_place_are_compared_as_they_are() -> None:
    assert alike({"a": 1}, {"a": 2}) == ({"a": 1}, {"a": 2})
