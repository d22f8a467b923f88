"""What holds for every tier."""

from __future__ import annotations

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# How long an example takes says something of the machine, not of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

CLUSTER = "tests/e2e/"


class ByFile(LoadScopeScheduling):
    """Shares the files out to the processes of a run (`-n 2 --dist loadscope`).

    The tests of a file stay together, because they share what is slow to set up. All tests of the
    local cluster stay together, because its scenarios share one cluster.
    """

    def _split_scope(self, nodeid: str) -> str:
        return CLUSTER if nodeid.startswith(CLUSTER) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Asked by pytest-xdist where a run has several processes."""
    return ByFile(config, log)
