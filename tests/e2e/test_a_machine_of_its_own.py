"""A scene of the machine campaign (`make campaign NAME=machine`), on a node with cgroup v2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from campaigns.machine.life import NODE, POLICY, expected_state, live
from stage.install import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def machine(world: Stage) -> Iterator[Stage]:
    """The cluster, with a node that has its own kernel for the time of the test."""
    world.kube.apply(POLICY)
    node = world.cluster.add_node(NODE, "uml")
    yield world
    node.kill()


def test_a_trainer_out_of_memory_goes_on_from_its_checkpoint(
    machine: Stage, tmp_path: Path
) -> None:
    expected = expected_state(tmp_path / "uninterrupted")
    account = live(machine, "out of memory by arrays", expected, times=1)
    assert account.wrong == []
    assert account.exact
