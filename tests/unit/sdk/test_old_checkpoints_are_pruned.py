"""Pruning in a store: what goes, in which order, and what a crash or a refusal leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from kit.checkpoints import AT, a_claim, a_receipt, an_id, commit_checkpoint, store_share
from kit.stores import FaultyStore, failing, make_older
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.claim import claim
from spot_training.checkpoint.commit import roll_forward
from spot_training.checkpoint.manifest import (
    Choice,
    Expired,
    Marker,
    Pin,
    Post,
    Tombstone,
    Verified,
)
from spot_training.checkpoint.orphans import REMEMBERED, discard_orphans, forget_attempts
from spot_training.checkpoint.pruning import Pruned, Pruner
from spot_training.checkpoint.retention import DELAY, Keep, Reason
from spot_training.checkpoint.store import Cancelled, Denied, Misconfigured, Store, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore

DAY = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "lineage")


def a_pruner(attempt: int = 1, **changes: object) -> Pruner:
    return Pruner(attempt, "node-1", lambda: AT, **changes)  # type: ignore[arg-type]  # by name


def prune(store: Store, attempt: int = 1, **changes: object) -> Pruned:
    return a_pruner(attempt, **changes).prune(store)


def commit_many(store: Store, steps: Iterable[int], attempt: int = 1) -> None:
    for step in steps:
        commit_checkpoint(store, attempt=attempt, step=step)


def write(store: Store, key: str, record: object) -> None:
    assert store.create(key, records.dump(record))


def age(store: DirectoryStore, key: str, seconds: float) -> None:
    make_older(store.root / key, seconds)


def age_expiries(store: DirectoryStore, seconds: float = DELAY) -> None:
    for key in store.list(keys.EXPIRED):
        age(store, key, seconds)


def bury(store: Store, checkpoint: str) -> None:
    tombstone = Tombstone(id=checkpoint, kind="content", evidence=(), nodes=(), attempt=1, at=AT)
    write(store, keys.tombstone(checkpoint), tombstone)


def pin(store: Store, checkpoint: str) -> None:
    write(store, keys.pin(checkpoint), Pin(id=checkpoint, by="me", why="paper", at=AT))


def expect_commits(store: Store, *steps: int) -> None:
    found = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    assert [parsed.step for parsed in found if parsed] == list(steps)


def expect_no_trace(store: Store, checkpoint: str) -> None:
    assert [key for key in store.list("") if checkpoint in key] == []


# -- two phases --------------------------------------------------------------------------------


def test_what_goes_is_given_up_first_and_deleted_an_hour_later(store: DirectoryStore) -> None:
    commit_many(store, range(1, 6))
    first = prune(store)
    assert (first.expired, first.deleted, first.waiting) == ((an_id(1, 2), an_id(1, 1)), (), 2)
    expect_commits(store, 5, 4, 3, 2, 1)
    age_expiries(store, DELAY - 60)
    assert prune(store).deleted == ()
    age_expiries(store, 60)
    second = prune(store)
    assert second.deleted == (an_id(1, 2), an_id(1, 1))
    assert second.freed > 0
    expect_commits(store, 5, 4, 3)
    expect_no_trace(store, an_id(1, 1))
    assert prune(store) == Pruned(kept=second.kept)


def test_commits_that_nobody_verified_are_looked_at_and_recorded(store: DirectoryStore) -> None:
    """Their sidecar died before it could: the look that counts is made up for."""
    commit_many(store, range(1, 5))
    assert prune(store).expired == (an_id(1, 1),)
    assert {keys.parse_verified(key) for key in store.list(keys.VERIFIED)} == {
        an_id(1, step) for step in (4, 3, 2)
    }


def test_with_fewer_than_three_that_verify_nothing_goes(store: DirectoryStore) -> None:
    commit_many(store, range(1, 6))
    for step in (1, 2, 3):
        store.delete(keys.data(an_id(1, step), 0, 0))
    assert prune(store).expired == ()


def test_a_local_directory_needs_no_second_phase(store: DirectoryStore) -> None:
    commit_many(store, range(1, 6))
    pruned = prune(store, delay=0.0)
    assert (pruned.expired, pruned.deleted) == ((), (an_id(1, 2), an_id(1, 1)))
    expect_commits(store, 5, 4, 3)
    assert len(store.list(keys.DATA)) == 3


# -- what is taken back ------------------------------------------------------------------------


def test_a_pin_takes_an_expiry_back(store: DirectoryStore) -> None:
    commit_many(store, range(1, 6))
    prune(store)
    pin(store, an_id(1, 1))
    age_expiries(store)
    pruned = prune(store)
    assert (pruned.taken_back, pruned.deleted) == ((an_id(1, 1),), (an_id(1, 2),))
    assert pruned.kept[an_id(1, 1)] is Reason.PINNED
    assert store.list(keys.EXPIRED) == ()


def test_a_pin_set_while_a_pass_is_under_way_is_seen(store: DirectoryStore) -> None:
    commit_many(store, range(1, 6))
    prune(store)
    age_expiries(store)

    def set_pins(method: str, key: str) -> None:
        if (method, key) == ("list", keys.pin(an_id(1, 2))) and not store.list(keys.PINS):
            pin(store, an_id(1, 2))

    assert prune(FaultyStore(store, set_pins)).deleted == (an_id(1, 1),)
    expect_commits(store, 5, 4, 3, 2)


def test_what_an_attempt_resumed_from_stays_until_one_of_its_own_is_verified(
    store: DirectoryStore,
) -> None:
    commit_many(store, range(1, 6))
    prune(store)
    claim(store, a_claim(2))
    write(store, keys.choice(2, 0), Choice(attempt=2, k=0, id=an_id(1, 1), at=AT))
    age_expiries(store)
    pruned = prune(store, attempt=2)
    assert (pruned.taken_back, pruned.deleted) == ((an_id(1, 1),), (an_id(1, 2),))
    assert pruned.kept[an_id(1, 1)] is Reason.ORIGIN
    commit_many(store, [2], attempt=2)
    assert prune(store, attempt=2).expired == (an_id(1, 3), an_id(1, 1))


def test_the_kept_ones_are_looked_at_again_before_anything_is_deleted(
    store: DirectoryStore,
) -> None:
    commit_many(store, range(1, 6))
    prune(store)
    age_expiries(store)
    store.delete(keys.data(an_id(1, 4), 0, 0))
    assert prune(store).deleted == ()
    expect_commits(store, 5, 4, 3, 2, 1)


# -- who may delete ----------------------------------------------------------------------------


def test_a_zombie_gives_up_and_deletes_nothing(store: DirectoryStore) -> None:
    commit_many(store, range(1, 6))
    prune(store)
    age_expiries(store)
    commit_many(store, [6])
    claim(store, a_claim(2))
    assert prune(store, attempt=1) == Pruned()
    expect_commits(store, 6, 5, 4, 3, 2, 1)
    assert len(store.list(keys.EXPIRED)) == 2


@pytest.mark.parametrize("late", ["ready/", "commits/"])
def test_one_that_is_superseded_amid_a_pass_deletes_no_checkpoint_any_more(
    store: DirectoryStore, late: str
) -> None:
    """The process stood still for hours between its look and its deletion."""
    commit_many(store, range(1, 6))
    prune(store)
    age_expiries(store)
    asked = [0]

    def supersede(method: str, key: str) -> None:
        asked[0] += method == "list" and key.startswith(keys.receipts(an_id(1, 2)))
        if (late == "commits/") == bool(asked[0]) and key.startswith(keys.pin(an_id(1, 2))):
            claim(store, a_claim(2))

    assert prune(FaultyStore(store, supersede)).deleted == ()
    expect_commits(store, 5, 4, 3, 2, 1)
    roll_forward(store, committed_at=AT)
    assert len(store.list(keys.DATA)) == 5


# -- crashes and refusals ----------------------------------------------------------------------


def deletions(store: Store) -> list[tuple[str, str]]:
    seen = FaultyStore(store)
    prune(seen)
    return [call for call in seen.calls if call[0] == "delete"]


@pytest.mark.parametrize("deleted", range(6))
@pytest.mark.parametrize("delay", [0.0, DELAY])
def test_a_crash_while_pruning_revives_nothing_and_is_made_up_for(
    store: DirectoryStore, deleted: int, delay: float
) -> None:
    commit_many(store, range(1, 5))
    post = Post(
        attempt=1, k=0, rank=0, id=an_id(1, 1), verdict="bad", node="n", at=AT, kind="content"
    )
    write(store, keys.evidence(an_id(1, 1), 1, 0, 0), post)
    word = Verified(id=an_id(1, 1), level="V2", at=AT)
    write(store, keys.verified(an_id(1, 1)), word)
    prune(store)
    age_expiries(store)
    left = [deleted]

    def fault(method: str, _key: str) -> Unreachable | None:
        left[0] -= method == "delete"
        return Unreachable("killed here") if left[0] < 0 else None

    with pytest.raises(Unreachable):
        prune(FaultyStore(store, fault), delay=delay)
    roll_forward(store, committed_at=AT)
    prune(store, delay=delay)
    expect_commits(store, 4, 3, 2)
    expect_no_trace(store, an_id(1, 1))


def test_a_store_that_lets_nobody_delete_says_so_and_keeps_everything(
    store: DirectoryStore,
) -> None:
    commit_many(store, range(1, 6))
    strict = FaultyStore(store, failing("delete", error=Denied, times=99))
    assert prune(strict).refused == ""
    age_expiries(store)
    assert prune(strict).refused != ""
    expect_commits(store, 5, 4, 3, 2, 1)
    assert prune(store).deleted == (an_id(1, 2), an_id(1, 1))


def test_a_store_that_tells_no_time_keeps_everything(store: DirectoryStore) -> None:
    commit_many(store, range(1, 6))
    timeless = FaultyStore(store, failing("written", error=Misconfigured, times=99))
    assert prune(timeless).refused != ""
    assert store.list(keys.EXPIRED) == ()


def test_it_stops_when_something_presses(store: DirectoryStore) -> None:
    commit_many(store, range(1, 6))
    prune(store)
    age_expiries(store)
    with pytest.raises(Cancelled):
        prune(store, pressed=lambda: True)
    expect_commits(store, 5, 4, 3, 2, 1)


def test_pruning_that_fails_says_so(store: DirectoryStore) -> None:
    commit_many(store, range(1, 5))
    with pytest.raises(Unreachable):
        prune(FaultyStore(store, failing("list", error=Unreachable)))
    expect_commits(store, 4, 3, 2, 1)


# -- whatever the numbers say ------------------------------------------------------------------


def test_results_pins_and_suspects_stay(store: DirectoryStore) -> None:
    commit_many(store, range(1, 8))
    write(store, keys.marker(1), Marker(attempt=1, id=an_id(1, 1), step=1, at=AT))
    pin(store, an_id(1, 2))
    pruned = prune(store, delay=0.0, suspects=[an_id(1, 3)])
    assert pruned.deleted == (an_id(1, 4),)
    expect_commits(store, 7, 6, 5, 3, 2, 1)


def test_a_quarantined_one_goes_after_a_newer_one_verified_and_leaves_its_tombstone(
    store: DirectoryStore,
) -> None:
    commit_many(store, range(1, 5))
    bury(store, an_id(1, 4))
    assert prune(store, delay=0.0).deleted == ()
    commit_many(store, [5])
    assert prune(store, delay=0.0).deleted == (an_id(1, 4), an_id(1, 1))
    expect_commits(store, 5, 3, 2)
    assert store.list(keys.TOMBSTONES) == (keys.tombstone(an_id(1, 4)),)


def test_milestones_are_told_by_their_manifests_and_stay_for_good(store: DirectoryStore) -> None:
    """A copy of a bucket is younger than all that is in it."""
    for step in range(1, 9):
        at = f"2026-01-02T{step // 2:02d}:{30 * (step % 2):02d}:00Z"
        commit_checkpoint(store, step=step, committed_at=at)
        a_pruner(delay=0.0, keep=Keep(milestone_every=7200.0)).prune(store)
    expect_commits(store, 8, 7, 6, 4, 1)


# -- what was never committed ------------------------------------------------------------------


def orphan(store: DirectoryStore, *, attempt: int = 1, step: int = 2) -> str:
    receipt = store_share(store, a_receipt(attempt=attempt, step=step))
    store.delete(keys.receipt(receipt.id, 0))
    return receipt.id


def test_data_that_was_never_committed_goes_with_its_attempt(store: DirectoryStore) -> None:
    commit_checkpoint(store, attempt=1, step=1)
    left = orphan(store)
    assert discard_orphans(store, before=1) == ()
    assert discard_orphans(store, before=2) == (left,)
    assert store.list(keys.DATA) == (keys.data(an_id(1, 1), 0, 0),)


def test_it_goes_no_earlier_than_asked_for(store: DirectoryStore) -> None:
    left = orphan(store)
    assert discard_orphans(store, before=2, older_seconds=DAY) == ()
    age(store, keys.data(left, 0, 0), DAY)
    assert discard_orphans(store, before=2, older_seconds=DAY, going_on=lambda: False) == ()
    assert discard_orphans(store, before=2, older_seconds=DAY) == (left,)


def test_receipts_of_a_gang_that_died_go_before_their_data(store: DirectoryStore) -> None:
    half = store_share(store, a_receipt(step=3, rank=0, ranks=2))
    whole = [store_share(store, a_receipt(step=4, rank=rank, ranks=2)) for rank in range(2)]
    seen = FaultyStore(store)
    assert discard_orphans(seen, before=2) == (half.id,)
    gone = [key for method, key in seen.calls if method == "delete"]
    assert gone == [keys.receipt(half.id, 0), keys.data(half.id, 0, 0)]
    assert [manifest.id for manifest in roll_forward(store, committed_at=AT)] == [whole[0].id]


def test_records_of_attempts_long_ended_go(store: DirectoryStore) -> None:
    last = REMEMBERED + 3
    made: list[Callable[[int], str]] = [
        lambda attempt: keys.claim(attempt, 0),
        lambda attempt: keys.choice(attempt, 0),
        lambda attempt: keys.post(attempt, 0, 0),
    ]
    for attempt in range(1, last + 1):
        for key in made:
            store.create(key(attempt), b"{}")
            age(store, key(attempt), DAY if attempt != 2 else DAY - 60)
    assert forget_attempts(store, before=last, older_seconds=DAY) == len(made)
    for prefix, key in zip((keys.CLAIMS, keys.CHOICES, keys.POSTS), made, strict=True):
        assert store.list(prefix) == tuple(key(attempt) for attempt in range(2, last + 1))


def test_an_expiry_of_nothing_goes_as_well(store: DirectoryStore) -> None:
    """A zombie's word about what was deleted since."""
    commit_many(store, [1])
    write(store, keys.expired(an_id(1, 9)), Expired(id=an_id(1, 9), attempt=1, why="old", at=AT))
    assert prune(store).deleted == ()
    age_expiries(store)
    assert prune(store).deleted == (an_id(1, 9),)
    assert store.list(keys.EXPIRED) == ()
