"""Lines of a start that takes a while."""

from __future__ import annotations

import re

import pytest
from cluster.progress import Progress, since_now


def test_a_step_is_told_at_its_start_and_at_its_good_end() -> None:
    said: list[str] = []
    with Progress(said.append).step("4 nodes", 15):
        assert said == ["4 nodes … (about 15 s)"]
    assert len(said) == 2
    assert re.fullmatch(r"4 nodes: done in \d+\.\d s", said[1]), "without a time of its own"


def test_a_step_that_fails_is_never_told_as_done() -> None:
    said: list[str] = []
    with pytest.raises(OSError, match="no node"), Progress(said.append).step("4 nodes", 15):
        raise OSError("no node")
    assert said == ["4 nodes … (about 15 s)"]


def test_each_line_can_have_the_seconds_since_the_beginning() -> None:
    said: list[str] = []
    since_now(said.append)("4 nodes")
    assert re.fullmatch(r" *0\.\d s  4 nodes", said[0])
