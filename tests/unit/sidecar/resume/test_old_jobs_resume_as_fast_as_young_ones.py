"""What thousands of attempts left in a lineage costs the next one nothing: counts of requests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from kit.attempt_starts import begin
from kit.checkpoints import AT, a_receipt, an_id, commit_checkpoint
from kit.stores import FaultyStore
from spot_sidecar.resume.decision import FromCheckpoint
from spot_training.checkpoint import claim, commit, keys, records, verify
from spot_training.checkpoint.manifest import Choice, Claim, Post, Tombstone
from spot_training.checkpoint.stores.directory import DirectoryStore

OLD, YOUNG = 2000, 3


def written(root: Path, key: str, record: Any) -> None:
    """Without the store's fsync, which would take minutes here."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(records.dump(record))


def a_life(root: Path, attempts: int) -> DirectoryStore:
    """A lineage after so many attempts: each claimed, chose, posted; some found something bad."""
    store = DirectoryStore.prepare(root)
    verify.open_lineage(store, created_at=AT)
    for number in range(1, attempts + 1):
        bad = number % 3 == 0
        chosen = an_id(number, 5) if bad else an_id(1, 10)
        claimed = Claim(attempt=number, rank=0, pod_uid="p", nonce="0123abcd", node="n", at=AT)
        post = Post(
            attempt=number, k=0, rank=0, id=chosen, verdict="bad" if bad else "verified",
            node=f"n{number}", at=AT, kind="content" if bad else "",
        )  # fmt: skip
        written(root, keys.claim(number, 0), claimed)
        written(root, keys.choice(number, 0), Choice(attempt=number, k=0, id=chosen, at=AT))
        written(root, keys.post(number, 0, 0), post)
        if bad:
            written(root, keys.evidence(chosen, number, 0, 0), post)
            tombstone = Tombstone(
                id=chosen, kind="content", evidence=(), nodes=(), attempt=number, at=AT
            )
            written(root, keys.tombstone(chosen), tombstone)
    commit_checkpoint(store, attempt=1, step=10)
    return store


async def requests(folder: Path, attempts: int) -> list[str]:
    """The methods that the next attempt's beginning calls, in order."""
    store = FaultyStore(a_life(folder / "store", attempts))
    begun = await begin(store, folder / "pod", attempt=attempts + 1, newest=an_id(1, 10))
    assert isinstance(begun.decision, FromCheckpoint)
    assert begun.decision.manifest.id == an_id(1, 10)
    return sorted(method for method, _ in store.calls)


async def test_the_beginning_of_an_attempt_asks_no_more_after_thousands(tmp_path: Path) -> None:
    old = await requests(tmp_path / "old", OLD)
    assert old == await requests(tmp_path / "young", YOUNG)
    assert len(old) < 40


@pytest.mark.parametrize("attempt", [1, 7, OLD - 1, OLD, OLD + 5])
def test_looking_for_a_higher_claim_opens_no_earlier_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    store = DirectoryStore.prepare(tmp_path / "store")
    for number in (*range(1, 50), OLD):
        written(store.root, keys.claim(number, 0), Choice(attempt=number, k=0, id=None, at=AT))
    opened: list[str] = []
    scan = os.scandir

    def scanning(path: Any) -> Any:
        opened.append(Path(path).name)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scanning)
    assert claim.superseded_by(store, attempt) == (OLD if attempt < OLD else None)
    assert [name for name in opened if name.isdigit() and int(name) < attempt] == []


def test_what_gangs_that_died_left_costs_one_read_each(tmp_path: Path) -> None:
    """And one whose receipts are all there is committed among them."""
    store = DirectoryStore.prepare(tmp_path)
    for attempt in range(1, 301):
        ranks = range(4) if attempt == 150 else range(3)
        for rank in ranks:
            receipt = a_receipt(attempt=attempt, rank=rank, ranks=4)
            written(store.root, keys.receipt(receipt.id, rank), receipt)
    watched = FaultyStore(store)
    (rolled,) = commit.roll_forward(watched, committed_at=AT)
    assert rolled.id == an_id(150)
    assert len([method for method, _ in watched.calls if method == "read"]) == 300 + 4
    assert len([method for method, _ in watched.calls if method == "list"]) == 3 + 1
