"""The store is connected while the grant is waited for, if it can be."""

from pathlib import Path

from spot_sidecar.base.clock import SystemClock
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.state.attempt_state import AttemptState
from spot_training.checkpoint.store import Misconfigured, Store
from spot_training.checkpoint.stores.directory import DirectoryStore


class Connecting:
    """Makes the store; the first times it cannot."""

    def __init__(self, root: Path, *, failures: int = 0) -> None:
        self.root = root
        self.failures = failures
        self.calls = 0

    def __call__(self) -> Store:
        self.calls += 1
        if self.calls <= self.failures:
            raise Misconfigured("the credentials are not mounted yet")
        return DirectoryStore.prepare(self.root, within=self.root.parent)


def a_lineage(connecting: Connecting) -> tuple[Lineage, AttemptState]:
    clock = SystemClock()
    attempt_state = AttemptState(clock, 1, clock.now())
    return Lineage(connecting, attempt_state, Metrics()), attempt_state


async def test_what_was_connected_before_is_used(tmp_path: Path) -> None:
    connecting = Connecting(tmp_path / "lineage")
    lineage, _ = a_lineage(connecting)
    await lineage.connect()
    assert connecting.calls == 1
    assert await lineage.once(lambda store: store.list("")) == ()
    assert connecting.calls == 1
    lineage.close()


async def test_trouble_is_told_by_the_first_use_alone(tmp_path: Path) -> None:
    connecting = Connecting(tmp_path / "lineage", failures=1)
    lineage, attempt_state = a_lineage(connecting)
    await lineage.connect()
    assert attempt_state.problem is None
    assert await lineage.once(lambda store: store.list("")) == ()
    assert connecting.calls == 2
    lineage.close()
