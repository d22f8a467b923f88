"""A job created again begins from zero: it says so if a former one left checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.attempt_starts import HastyClock
from kit.checkpoints import AT, commit_checkpoint, damaged
from kit.stores import FaultyStore, failing
from spot_sidecar.config.spot_config import JobName
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.resume.unfinished import find_unfinished, warn_of_unfinished
from spot_sidecar.state.attempt_state import UNFINISHED_LINEAGE, AttemptState, CommitSeen
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Marker
from spot_training.checkpoint.store import Denied, Store
from spot_training.checkpoint.stores.directory import DirectoryStore

JOB = JobName(namespace="team", name="digits", uid="uid-of-this-one")


@pytest.fixture
def former(tmp_path: Path) -> DirectoryStore:
    """Where all jobs of the name keep their lineages."""
    return DirectoryStore.prepare(tmp_path / "digits")


def lineage_of(former: DirectoryStore, uid: str, *steps: int) -> DirectoryStore:
    store = DirectoryStore.prepare(former.root / uid)
    for step in steps:
        commit_checkpoint(store, attempt=1, step=step)
    return store


def completed(store: DirectoryStore) -> None:
    marker = Marker(attempt=1, id="x", step=1, at=AT)
    store.create(keys.marker(1), records.dump(marker))


async def warned(store: Store) -> AttemptState:
    clock = HastyClock()
    attempt_state = AttemptState(clock, 1, clock.now())
    lineage = Lineage(lambda: store, attempt_state, Metrics())
    await warn_of_unfinished(lineage, lambda: store, JOB, attempt_state)
    return attempt_state


async def test_it_names_the_lineage_its_step_and_what_to_write(former: DirectoryStore) -> None:
    lineage_of(former, "uid-of-the-former", 10, 30, 20)
    attempt_state = await warned(former)
    assert attempt_state.problem is not None
    assert attempt_state.problem.kind == UNFINISHED_LINEAGE
    (event,) = attempt_state.events
    assert (event.reason, event.type) == (UNFINISHED_LINEAGE, "Warning")
    assert event.message == attempt_state.problem.message
    assert "uid uid-of-the-former, newest step 30" in event.message
    assert 'resumeFrom: {name: "digits", uid: "uid-of-the-former"}' in event.message
    manifest = commit_checkpoint(lineage_of(former, JOB.uid))
    attempt_state.committed(CommitSeen.of(manifest, attempt_state.clock.now()))
    assert attempt_state.problem is None


async def test_only_unfinished_lineages_of_others_with_commits_are_told_of(
    former: DirectoryStore,
) -> None:
    lineage_of(former, JOB.uid, 10)
    lineage_of(former, "uid-without-commits").create(keys.claim(1, 0), b"{}")
    completed(lineage_of(former, "uid-of-a-complete-one", 10))
    attempt_state = await warned(former)
    assert (attempt_state.problem, list(attempt_state.events)) == (None, [])


def test_of_several_the_one_that_was_committed_to_last_is_named(former: DirectoryStore) -> None:
    lineage_of(former, "uid-1", 500)
    later = commit_checkpoint(lineage_of(former, "uid-2"), attempt=1, step=20)
    path = former.root / "uid-2" / keys.commit(later.id)
    at_last = damaged(later, committed_at="2027-01-01T00:00:00.000000Z")
    path.write_bytes(records.dump(at_last))
    found = find_unfinished(former, JOB.uid)
    assert found is not None
    assert (found.uid, found.step) == ("uid-2", 20)


def test_where_there_is_nothing_it_costs_one_list(former: DirectoryStore) -> None:
    asked = FaultyStore(former)
    assert find_unfinished(asked, JOB.uid) is None
    assert asked.calls == [("folders", "")]


async def test_a_store_that_shows_no_lineages_of_others_holds_nobody_up(
    former: DirectoryStore,
) -> None:
    attempt_state = await warned(FaultyStore(former, failing("folders", error=Denied)))
    assert (attempt_state.problem, list(attempt_state.events)) == (None, [])
