"""The command line: what it takes, and what it says when it is wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from cluster.cli import main, seconds
from cluster.readiness import takes_pods


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOT_CLUSTER_DIR", str(tmp_path / "clusters"))


@pytest.mark.parametrize(("text", "value"), [("120", 120), ("90s", 90), ("2m", 120), ("0.5", 0.5)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "1h30m", "-3s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="120s or 2m"):
        seconds(text)


@pytest.mark.parametrize("command", [["kubeconfig"], ["s3"], ["node", "kill", "spot-a"]])
def test_without_a_cluster_it_says_how_to_start_one(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--id", "none"]) == 1
    assert "hack/cluster up --id none" in capsys.readouterr().err


def test_ending_nothing_is_fine_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down", "--id", "none"]) == 0
    assert "there was nothing" in capsys.readouterr().err
    assert not (tmp_path / "clusters").exists()


def test_an_impossible_cluster_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--nodes", "cheap=1"]) == 1
    assert "spot, on-demand" in capsys.readouterr().err
    assert not (tmp_path / "clusters").exists()


@pytest.mark.parametrize(
    ("ready", "taint", "boot", "takes"),
    [
        ("True", None, "b2", True),
        ("True", "nvidia.com/gpu", "b2", True),
        ("True", "node.kubernetes.io/unreachable", "b2", False),
        ("Unknown", None, "b2", False),
        ("True", None, "b1", False),
    ],
)
def test_a_node_takes_pods_when_this_boot_of_it_is_ready(
    ready: str, taint: str | None, boot: str, takes: bool
) -> None:
    node = {
        "spec": {"taints": [{"key": taint}]} if taint else {},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "nodeInfo": {"bootID": boot},
        },
    }
    assert takes_pods(node, "b2") is takes
