"""What a killed sidecar left in the shared memory is taken over or deleted, never added to.

A page stays charged to the container that touched it first, and after that one's death to the pod:
a second set beside the first would have the pod's containers killed for memory that nobody uses.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from spot_sidecar.config.paths import Paths
from spot_sidecar.resume.fetch import Fetch
from spot_sidecar.shared_memory.arenas import Arenas, StagingTooSmallError
from spot_training.checkpoint.arena import PAGE, arena_bytes

PAYLOAD = 5 * PAGE
WHOLE = arena_bytes(PAYLOAD)
LARGER = arena_bytes(2 * PAYLOAD)
STAGING = 2 * WHOLE


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(shared=tmp_path, private=tmp_path)


def leave(paths: Paths, sizes: dict[str, int]) -> None:
    """Files of an earlier run of this container, full of its snapshot."""
    for name, size in sizes.items():
        (paths.shared / name).write_bytes(b"x" * size)


def on_the_volume(paths: Paths) -> int:
    """Bytes that the volume has given out."""
    return sum(path.stat().st_blocks * 512 for path in paths.shared.iterdir())


LEFT = {
    "nothing": {},
    "both arenas": {"arena-p0-0": WHOLE, "arena-p0-1": WHOLE},
    "killed before the second had a page": {"arena-p0-0": WHOLE, "arena-p0-1": 0},
    "killed before the first had a page": {"arena-p0-0": 0},
    "killed amid the second": {"arena-p0-0": WHOLE, "arena-p0-1": PAGE},
    "the second was grown, the first was not": {"arena-p0-0": 2 * PAGE, "arena-p0-1": WHOLE},
    "the first was grown, the second was not": {"arena-p0-0": WHOLE, "arena-p0-1": 2 * PAGE},
    "the second alone": {"arena-p0-1": WHOLE},
    "half a restored checkpoint": {"restored-p0.part": WHOLE},
    "half a restored checkpoint of another process": {"restored-p1.part": 2 * WHOLE},
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
async def test_both_arenas_are_whole_and_fill_no_more_than_the_staging_size(
    paths: Paths, left: dict[str, int]
) -> None:
    leave(paths, left)
    arenas = Arenas(paths, STAGING)

    slots = await arenas.provide(0, PAYLOAD)

    assert [slot.index for slot in slots] == [0, 1]
    assert all(slot.path.stat().st_size >= arena_bytes(slot.bytes) for slot in slots)
    assert all(slot.bytes >= PAYLOAD for slot in slots)
    assert on_the_volume(paths) <= STAGING


async def test_what_is_whole_keeps_its_file_and_its_content(paths: Paths) -> None:
    leave(paths, {"arena-p0-0": WHOLE, "arena-p0-1": WHOLE})
    before = [paths.arena(0, index).stat() for index in (0, 1)]

    await Arenas(paths, STAGING).provide(0, PAYLOAD)

    after = [paths.arena(0, index).stat() for index in (0, 1)]
    assert [one.st_ino for one in after] == [one.st_ino for one in before]
    assert paths.arena(0, 1).read_bytes() == b"x" * WHOLE


@pytest.mark.parametrize("short", [0, 1])
async def test_an_arena_that_was_grown_is_never_cut_under_the_trainer(
    paths: Paths, short: int
) -> None:
    leave(paths, {f"arena-p0-{short}": WHOLE, f"arena-p0-{1 - short}": LARGER})
    slots = await Arenas(paths, 2 * LARGER).provide(0, PAYLOAD + 1)
    assert paths.arena(0, 1 - short).stat().st_size == LARGER
    assert all(slot.bytes > PAYLOAD for slot in slots)


async def test_one_arena_that_holds_a_snapshot_is_used_as_it_is(paths: Paths) -> None:
    leave(paths, {"arena-p0-0": WHOLE})
    arenas = Arenas(paths, STAGING)
    arenas.keep(0, 0)
    (slot,) = await arenas.provide(0, PAYLOAD)
    assert (slot.index, slot.bytes) == (0, PAYLOAD)


async def test_where_one_fits_one_is_taken_over(paths: Paths) -> None:
    leave(paths, {"arena-p0-0": WHOLE})
    (slot,) = await Arenas(paths, WHOLE).provide(0, PAYLOAD)
    assert slot.index == 0


async def test_a_restored_checkpoint_of_the_run_before_counts(paths: Paths) -> None:
    leave(paths, {"restored-p0": PAYLOAD})
    arenas = Arenas(paths, STAGING)
    (slot,) = await arenas.provide(0, PAYLOAD)
    assert slot.index == 0
    assert on_the_volume(paths) <= STAGING


async def test_it_is_refused_what_a_restored_checkpoint_leaves_no_room_for(paths: Paths) -> None:
    leave(paths, {"restored-p0": STAGING})
    with pytest.raises(StagingTooSmallError):
        await Arenas(paths, STAGING).provide(0, PAYLOAD)


async def test_an_arena_that_is_there_is_used_when_no_other_fits_any_more(paths: Paths) -> None:
    leave(paths, {"arena-p0-0": WHOLE, "restored-p0": WHOLE})
    (slot,) = await Arenas(paths, STAGING).provide(0, PAYLOAD)
    assert (slot.index, slot.bytes) == (0, PAYLOAD)


async def test_a_restored_checkpoint_of_the_run_before_is_discarded_like_any(
    paths: Paths, fetch: Fetch
) -> None:
    fetch.discard()
    assert not paths.restored(0).exists()
    assert len(await fetch._arenas.provide(0, PAYLOAD)) == 2


@pytest.fixture
def fetch(paths: Paths) -> Fetch:
    """Of a run after one that was killed with a restored checkpoint."""
    leave(paths, {"restored-p0": WHOLE})
    # Neither a store nor a counter is asked when files are thrown away.
    return Fetch(lineage=None, arenas=Arenas(paths, STAGING), paths=paths, metrics=None)  # type: ignore[arg-type]
