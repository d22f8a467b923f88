"""V0 to V2 of candidates in a store, and what counts as evidence."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.checkpoints import AT, an_id, commit_checkpoint, damaged
from kit.stores import FaultyStore, failing
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.commit import roll_forward
from spot_training.checkpoint.manifest import Manifest, Post
from spot_training.checkpoint.selection import Bad, Evidence, Facts, Good, Kind, Unknown
from spot_training.checkpoint.store import Corrupt, Denied, StoreError, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore

DATA = keys.data(an_id(), 0, 0)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    found = DirectoryStore.prepare(tmp_path / "lineage")
    verify.open_lineage(found, created_at=AT)
    return found


def rewrite(store: DirectoryStore, manifest: Manifest) -> None:
    (store.root / keys.commit(an_id())).write_bytes(records.dump(manifest))


def test_a_whole_checkpoint_is_good(store: DirectoryStore) -> None:
    commit_checkpoint(store, ranks=2)
    assert verify.verdict(store, an_id(), node="n1") == Good()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    size = path.stat().st_size
    path.unlink()
    path.mkdir()
    (path / "file").write_bytes(bytes(size))


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("key", [DATA, keys.commit(an_id())])
@pytest.mark.parametrize("put_there", [pipe, folder, link])
def test_what_is_no_file_any_more_is_evidence(
    store: DirectoryStore, put_there: Callable[[Path], None], key: str
) -> None:
    commit_checkpoint(store)
    put_there(store.root / key)
    verdict = verify.verdict(store, an_id(), node="n1")
    assert isinstance(verdict, Bad)
    assert verdict.evidence.kind is Kind.SERVER
    assert "not a plain file" in verdict.evidence.detail
    assert roll_forward(store, committed_at=AT) == ()


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda root: (root / DATA).unlink(), Kind.MISSING),
        (lambda root: (root / keys.commit(an_id())).unlink(), Kind.MISSING),
        (lambda root: (root / DATA).write_bytes(b"short"), Kind.SERVER),
        (lambda root: (root / keys.commit(an_id())).write_bytes(b"{}"), Kind.SERVER),
    ],
)
def test_definite_damage_is_evidence(
    store: DirectoryStore, damage: Callable[[Path], object], kind: Kind
) -> None:
    commit_checkpoint(store)
    damage(store.root)
    verdict = verify.verdict(store, an_id(), node="n1")
    assert isinstance(verdict, Bad)
    assert (verdict.evidence.id, verdict.evidence.kind, verdict.evidence.node) == (
        an_id(), kind, "n1",
    )  # fmt: skip


def test_nothing_is_missing_while_the_format_record_does_not_read(store: DirectoryStore) -> None:
    commit_checkpoint(store)
    (store.root / DATA).unlink()
    (store.root / keys.FORMAT).unlink()
    assert isinstance(verify.verdict(store, an_id(), node="n1"), Unknown)


@pytest.mark.parametrize("error", [Unreachable, Denied])
@pytest.mark.parametrize("method", ["read", "stat"])
def test_trouble_on_the_way_is_no_evidence(
    store: DirectoryStore, method: str, error: type[StoreError]
) -> None:
    commit_checkpoint(store)
    faulty = FaultyStore(store, failing(method, error=error))
    verdict = verify.verdict(faulty, an_id(), node="n1")
    assert isinstance(verdict, Unknown)
    assert verdict.retry


def test_a_newer_manifest_is_unknown_for_good(store: DirectoryStore) -> None:
    rewrite(store, damaged(commit_checkpoint(store), schema=2))
    verdict = verify.verdict(store, an_id(), node="n1")
    assert isinstance(verdict, Unknown)
    assert not verdict.retry


@pytest.mark.parametrize(
    "changes",
    [{"step": 11}, {"id": an_id(1, 11)}, {"ranks": 2}, {"objects": ()}],
)
def test_a_manifest_that_does_not_add_up_is_damaged(
    store: DirectoryStore, changes: dict[str, object]
) -> None:
    rewrite(store, damaged(commit_checkpoint(store), **changes))
    assert isinstance(verify.verdict(store, an_id(), node="n1"), Bad)


def test_part_digests_that_do_not_combine_are_damaged(store: DirectoryStore) -> None:
    manifest = commit_checkpoint(store)
    (item,) = manifest.objects
    wrong = damaged(manifest, objects=(damaged(item, parts=("0" * 16,)),))  # type: ignore[arg-type]
    rewrite(store, wrong)
    verdict = verify.verdict(store, an_id(), node="n1")
    assert isinstance(verdict, Bad)
    assert "combine" in verdict.evidence.detail


def test_a_tombstone_carries_the_evidence_once(store: DirectoryStore) -> None:
    seen = (
        Evidence(an_id(), Kind.CONTENT, "n1", "part 3 differs"),
        Evidence(an_id(), Kind.CONTENT, "n2", "part 3 differs there too"),
    )
    facts = Facts(node="n2", commits=(an_id(),), evidence=seen)
    (tombstone,) = verify.quarantine(store, facts, attempt=4, at=AT)
    assert tombstone.nodes == ("n1", "n2")
    assert tombstone.evidence == ("part 3 differs", "part 3 differs there too")
    assert verify.look(store, facts).tombstones == {an_id()}
    assert verify.quarantine(store, facts, attempt=5, at=AT) == ()


def a_post(attempt: int, verdict: str) -> Post:
    kind = "content" if verdict == "bad" else ""
    return Post(attempt=attempt, k=0, rank=0, id=an_id(), verdict=verdict, node=f"n{attempt}",
                at=AT, kind=kind, detail="differs")  # fmt: skip


def test_posts_of_earlier_attempts_are_evidence(store: DirectoryStore) -> None:
    verify.write_post(store, a_post(1, "bad"))
    verify.write_post(store, a_post(2, "verified"))
    key = keys.evidence(an_id(), 3, 0, 0)
    store.create(key, b"damaged")
    assert verify.read_evidence(store) == (Evidence(an_id(), Kind.CONTENT, "n1", "differs"),)


def test_what_stands_is_the_word_of_a_rank_and_its_evidence_is_there_before_it(
    store: DirectoryStore,
) -> None:
    def no_posts(method: str, key: str) -> StoreError | None:
        return Unreachable("down") if method == "create" and key.startswith("post/") else None

    with pytest.raises(Unreachable):
        verify.write_post(FaultyStore(store, no_posts), a_post(1, "bad"))
    assert len(verify.read_evidence(store)) == 1
    assert verify.write_post(store, a_post(1, "verified")).verdict == "verified"
    assert verify.write_post(store, a_post(1, "bad")).verdict == "verified"


def test_a_store_that_lets_nobody_delete_is_resumed_from(store: DirectoryStore) -> None:
    undeletable = FaultyStore(store, failing("delete", error=Denied))
    assert verify.write_post(undeletable, a_post(1, "verified")).verdict == "verified"


def test_looking_for_evidence_costs_no_more_after_hundreds_of_attempts(
    store: DirectoryStore,
) -> None:
    for attempt in range(1, 300):
        verify.write_post(store, a_post(attempt, "bad" if attempt == 7 else "verified"))
    watched = FaultyStore(store)
    assert [item.node for item in verify.read_evidence(watched)] == ["n7"]
    assert len(watched.calls) == 3
    facts = Facts(
        node="n7", commits=(an_id(),), evidence=verify.read_evidence(store), verified_on={"n7"}
    )
    verify.quarantine(store, facts, attempt=300, at=AT)
    assert verify.read_evidence(store) == ()


def test_a_new_lineage_is_opened_once(store: DirectoryStore) -> None:
    first = verify.open_lineage(store, created_at="2027-01-01T00:00:00.000000Z")
    assert first.created_at == AT


def test_a_lineage_without_its_format_record_is_not_begun_anew(store: DirectoryStore) -> None:
    commit_checkpoint(store)
    (store.root / keys.FORMAT).unlink()
    with pytest.raises(Corrupt, match=r"format\.json"):
        verify.open_lineage(store, created_at=AT)
