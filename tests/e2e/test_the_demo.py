"""The demo's story is the product's main promise: it is a test, too."""

from __future__ import annotations

import pytest
from demo.opening import begin
from demo.proof import Claims
from demo.story import play
from demo.timeline import Timeline
from rich.console import Console
from stage.install import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def test_a_job_loses_its_node_three_times_and_finishes_exactly(world: Stage) -> None:
    claims = Claims()
    with begin(world, Timeline(Console(width=120)), claims) as scene:
        play(scene)
    assert claims.hold, [line for line in claims.made if not line[0]]
    assert len(claims.made) == 7
