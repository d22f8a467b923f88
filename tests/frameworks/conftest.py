"""The tier of real training frameworks: torch on the CPU, in this process and in killed ones.

The folder is not named `torch`: on Python's path, `import torch` would find it where torch is not
installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
from kit.trainers import global_randomness

if importlib.util.find_spec("torch") is None:
    raise pytest.UsageError("tests/frameworks needs torch: make env-torch")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the caller's, and global generators that are put back."""
    import torch  # noqa: PLC0415 - the message above comes first

    for name in ("SPOT_SOCKET", "SPOT_DIR", "SPOT_INTERVAL", "SPOT_GRACE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(1)  # threads that wait for each other on a busy machine take seconds
    state = torch.get_rng_state()
    with global_randomness():
        yield
    torch.set_rng_state(state)
