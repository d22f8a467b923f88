"""Whether a batch is the same again is told by its beginning, without copying it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from spot_training.heads import head_of

A = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(("one", "other", "same"), [
    (A, A.copy(), True),
    (A, A + 1, False),
    ((A, np.array([1])), (A, np.array([2])), False),
    ({"x": A, "name": ["a"]}, {"x": A.copy(), "name": ["a"]}, True),
    ({"x": A, "name": ["a"]}, {"x": A, "name": ["b"]}, False),
    ([1, 2.5, True], [1, 2.5, False], False),
    (np.float32(1), np.float32(2), False),
    (np.zeros(100_000), np.r_[np.zeros(99_999), 1], True),  # no more than the head is looked at
])  # fmt: skip
def test_equal_batches_have_equal_heads(one: Any, other: Any, same: bool) -> None:
    assert (head_of(one) == head_of(other)) is same
    assert head_of(one)


@pytest.mark.parametrize("batch", [A.T, np.array([object()]), object(), (), np.zeros(0)])
def test_what_is_not_at_hand_is_left_out(batch: Any) -> None:
    assert head_of(batch) == ""
