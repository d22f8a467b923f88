"""The tier of real training frameworks: torch on the CPU, in this process and in killed ones.

The folder is not named `torch`: on Python's path, `import torch` would find it where torch is not
installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

if importlib.util.find_spec("torch") is None:
    raise pytest.UsageError("tests/frameworks needs torch: make env-torch")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No sidecar, no model hub; one thread, so that sums are added in one order."""
    import torch  # noqa: PLC0415 - not before the check above
    from kit.trainers import global_randomness  # noqa: PLC0415 - as above

    for name in ("SPOT_SOCKET", "SPOT_DIR", "SPOT_INTERVAL", "SPOT_GRACE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    with global_randomness():
        yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)
