"""The tier of real training frameworks: torch on the CPU, in this process and in killed ones.

The folder is not named `torch`: on Python's path, `import torch` would find it where torch is not
installed.
"""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Iterator

import pytest
from kit.trainers import global_randomness
from kit.zygote import Zygote, a_zygote

if importlib.util.find_spec("torch") is None:
    raise pytest.UsageError("tests/frameworks needs torch: make env-torch")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No sidecar, no model hub, no setting of the caller's; one thread, so that sums are added in
    one order (and threads that wait for each other on a busy machine take seconds)."""
    import torch  # noqa: PLC0415 - the message above comes first

    for name in ("SPOT_SOCKET", "SPOT_DIR", "SPOT_INTERVAL", "SPOT_GRACE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.set_num_threads(1)
    state, sigterm = torch.get_rng_state(), signal.getsignal(signal.SIGTERM)
    with global_randomness():
        yield
    signal.signal(signal.SIGTERM, sigterm)  # a run that was cut off has not let go of it
    torch.set_rng_state(state)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """What the trainings of both frameworks are forked off: their imports take ten seconds."""
    with a_zygote("kit.torch_trainers.huggingface", "kit.torch_trainers.lightning") as made:
        yield made
