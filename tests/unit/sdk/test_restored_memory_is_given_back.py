"""What was restored is let go of beside the training."""

from __future__ import annotations

import mmap
import threading

import pytest
from spot_training.backends.backend import let_go


def test_a_payload_is_released_in_a_thread_of_its_own() -> None:
    payload = memoryview(mmap.mmap(-1, 4096))
    thread = let_go(payload)
    assert thread is not threading.current_thread()
    thread.join(10)
    with pytest.raises(ValueError, match="released"):
        payload[0]
