import dataclasses

import pytest
from kit.checkpoints import AT, a_receipt, an_id
from spot_training.checkpoint.commit import build_manifest
from spot_training.checkpoint.manifest import Choice, Claim, Marker
from spot_training.cli.refusals import RECENT, why_refused
from spot_training.cli.survey import Survey

OLD, MIDDLE, NEW = an_id(1, 1), an_id(1, 2), an_id(1, 3)
CLAIM = Claim(attempt=1, rank=0, pod_uid="p", nonce="0123abcd", node="n", at=AT)

LINEAGE = Survey(
    manifests={
        an_id(1, step): build_manifest([a_receipt(step=step)], committed_at=AT)
        for step in (1, 2, 3)
    },
    unreadable={},
    unsupported={},
    uploads=frozenset({an_id(1, 4)}),
    tombstones={},
    pins=frozenset(),
    expired={},
    verified={},
    bad_posts={},
    markers={},
    choices=(Choice(attempt=1, k=0, id=OLD, at=AT),),
    claim=CLAIM,
)


def reasons(
    found: Survey, checkpoint: str, *, live: bool = False, claim_age: float | None = RECENT
) -> str:
    return "; ".join(why_refused(found, checkpoint, live=live, claim_age=claim_age))


def test_an_old_one_may_go() -> None:
    assert reasons(LINEAGE, MIDDLE) == ""
    assert reasons(LINEAGE, OLD) == ""


def test_the_newest_valid_stays() -> None:
    assert "newest valid" in reasons(LINEAGE, NEW)
    buried = dataclasses.replace(LINEAGE, tombstones={NEW: None})
    assert reasons(buried, NEW) == ""
    assert "newest valid" in reasons(buried, MIDDLE)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pins": frozenset({MIDDLE})}, "pinned"),
        ({"verified": {MIDDLE: "V3"}}, "verified"),
        ({"verified": {MIDDLE: "V3", OLD: "V3"}}, "verified"),
        ({"markers": {1: Marker(attempt=1, id=MIDDLE, step=2, at=AT)}}, "completed"),
    ],
)
def test_what_somebody_needs_stays(changes: dict[str, object], why: str) -> None:
    found = dataclasses.replace(LINEAGE, **changes)  # type: ignore[arg-type]  # any field
    assert why in reasons(found, MIDDLE)
    assert reasons(found, OLD) == ""


@pytest.mark.parametrize("using", [{"live": True}, {"claim_age": RECENT - 1}])
def test_a_running_attempt_keeps_its_beginning_and_its_upload(using: dict[str, float]) -> None:
    live, age = bool(using.get("live")), using.get("claim_age", RECENT)
    assert "resumed from it" in reasons(LINEAGE, OLD, live=live, claim_age=age)
    assert "uploading" in reasons(LINEAGE, an_id(1, 4), live=live, claim_age=age)
    assert reasons(LINEAGE, MIDDLE, live=live, claim_age=age) == ""


def test_an_attempt_that_has_ended_keeps_nothing() -> None:
    assert reasons(LINEAGE, OLD, claim_age=RECENT) == ""
    assert reasons(LINEAGE, an_id(1, 4), claim_age=RECENT) == ""
    done = dataclasses.replace(LINEAGE, markers={1: Marker(attempt=1, id=NEW, step=3, at=AT)})
    assert reasons(done, OLD, claim_age=1.0) == ""
