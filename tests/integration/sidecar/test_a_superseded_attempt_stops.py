"""A later attempt has claimed: the earlier one commits no more and stops its trainer."""

from __future__ import annotations

import json
from pathlib import Path

from kit.sidecar import PodFolder, a_pod, eventually, lineage_store
from kit.stores import S3Server
from kit.trainer_process import a_trainer
from spot_training.checkpoint import claim as claims
from spot_training.checkpoint import keys
from spot_training.checkpoint.manifest import Claim


def claim_later(s3: S3Server, attempt: int) -> None:
    mine = Claim(
        attempt=attempt, rank=0, pod_uid="later", nonce="ffffffff", node="elsewhere", at="now"
    )
    assert isinstance(claims.claim(lineage_store(s3), mine), claims.Claimed)


def expect_stopped(pod: PodFolder) -> None:
    word = pod.last_word()
    assert word["word"] == "Superseded"
    assert word["problem"]["kind"] == "Superseded"
    notice = json.loads((pod.shared / "notice.json").read_text())
    assert (notice["kind"], notice["source"]) == ("Preempt", "fence")


def test_it_is_noticed_before_the_next_commit(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, interval=0.3) as pod, pod.sidecar() as sidecar:
        pod.grant()
        with a_trainer(pod, steps=10_000, pause=0.05) as trainer:
            eventually("a commit", lambda: lineage_store(s3).list(keys.COMMITS))
            claim_later(s3, 2)
            assert trainer.ended(20) == 0
        assert sidecar.terminate() == 0
        standing = lineage_store(s3).list(keys.COMMITS)
        expect_stopped(pod)
        report = pod.operator.reports[-1] if pod.operator else {}
        assert report["problem"]["kind"] == "Superseded"
        assert len(standing) == report["commits"]


def test_the_operators_hint_makes_it_look_at_once(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3) as pod, pod.sidecar():
        assert pod.operator is not None
        pod.grant()
        with a_trainer(pod, steps=10_000, pause=0.05) as trainer:
            trainer.reached(3)
            claim_later(s3, 2)
            pod.operator.answers.append((409, {"attempt": 2}))
            pod.annotate(notice=a_rebalance())
            assert trainer.ended(10) == 0
        expect_stopped(pod)


def a_rebalance() -> dict[str, str]:
    """Any news, so that a report is sent at once."""
    return {"kind": "Rebalance", "source": "operator", "observedAt": "2026-01-01T00:00:00Z"}
