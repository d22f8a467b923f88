import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from kit.trainers import global_randomness
from spot_training import randomness
from spot_training.data import Cursor, ShuffledBatches, samples_in
from spot_training.sources import WrongData

ORDER = ShuffledBatches(23, 5, seed=7)


@pytest.fixture(autouse=True)
def _global_randomness() -> Iterator[None]:
    with global_randomness():
        yield


def walk(cursor: Cursor, data: Any, rng: np.random.Generator) -> Iterator[Any]:
    return cursor.walk(
        data,
        capture=lambda: randomness.capture(rng),
        restore=lambda plain: randomness.restore(plain, rng),
    )


def reborn(cursor: Cursor, now: Any = None) -> Cursor:
    """The cursor of another process, from what the checkpoint keeps."""
    other = Cursor()
    other.restore(cursor.to_plain(), now=now or randomness.capture(np.random.default_rng(0)))
    return other


@pytest.mark.parametrize("consumed", range(6))
def test_an_order_goes_on_at_any_batch(consumed: int) -> None:
    rng = np.random.default_rng(0)
    whole = [list(batch) for batch in ORDER.batches(2, after=0)]
    cursor = Cursor(epoch=2)
    walking = walk(cursor, ORDER, rng)
    head = [list(next(walking)) for _ in range(min(consumed, 5))]
    tail = [list(batch) for batch in walk(reborn(cursor), ORDER, rng)]
    assert head + tail == whole


def test_each_epoch_has_its_own_order_of_all_samples() -> None:
    epochs = [np.concatenate(list(ORDER.batches(epoch, after=0))) for epoch in range(3)]
    for order in epochs:
        assert sorted(order) == list(range(23))
    assert len({tuple(order) for order in epochs}) == 3


def test_the_order_is_part_of_the_format() -> None:
    # A resumed run must see the order that a checkpoint of schema 1 was trained in, for ever;
    # numpy does not promise to keep the stream of `permutation` from version to version.
    assert list(next(ShuffledBatches(10, 4, seed=3).batches(1, after=0))) == [4, 1, 2, 8]


def test_a_changed_batch_size_goes_on_at_the_same_sample() -> None:
    rng = np.random.default_rng(0)
    cursor = Cursor()
    head = list(next(walk(cursor, ORDER, rng)))
    rest = np.concatenate(list(walk(reborn(cursor), ShuffledBatches(23, 4, seed=7), rng)))
    whole = np.concatenate(list(ORDER.batches(0, after=0)))
    assert head + list(rest) == list(whole)


def test_drop_last_leaves_the_short_batch_out() -> None:
    batches = list(ShuffledBatches(23, 5, drop_last=True).batches(0, after=0))
    assert [len(batch) for batch in batches] == [5, 5, 5, 5]


@pytest.mark.parametrize("other", [ShuffledBatches(24, 5, seed=7), ShuffledBatches(23, 5, seed=8),
                                   [1, 2, 3]])  # fmt: skip
def test_other_data_is_refused(other: Any) -> None:
    rng = np.random.default_rng(0)
    cursor = Cursor()
    next(walk(cursor, ORDER, rng))
    with pytest.raises(WrongData, match="trained on"):
        next(walk(reborn(cursor), other, rng))


@pytest.mark.parametrize("arguments", [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_impossible_orders_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        ShuffledBatches(*arguments)


class DrawingLoader:
    """Draws from the global generators when it is iterated and for each batch, as torch's does."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        order = np.random.permutation(self.batches * 2)
        offset = random.random()
        for index in range(self.batches):
            yield order[2 * index : 2 * index + 2] + offset + np.random.random()


def train(cursor: Cursor, rng: np.random.Generator, stop: int) -> list[float]:
    """Consumes batches with draws in between; the log stands for the state of the training."""
    log = []
    for batch in walk(cursor, DrawingLoader(6), rng):
        log.append(float(batch.sum() + rng.random() + random.random() + np.random.random()))
        if len(log) == stop:
            break
    return log


@pytest.mark.parametrize("stops", [(1,), (5,), (6,), (2, 3), (1, 1, 1)])
def test_two_random_states_make_an_arbitrary_loader_exact(stops: tuple[int, ...]) -> None:
    def seeded() -> np.random.Generator:
        randomness.seed_globals(5, 0)
        return np.random.default_rng(5)

    rng = seeded()
    expected = train(Cursor(), rng, 99)
    rng, cursor, found = seeded(), Cursor(), []
    for stop in stops:
        found += train(cursor, rng, stop)
        cursor = reborn(cursor, now=randomness.capture(rng))
        rng = np.random.default_rng(99)  # another process, whose script draws before it iterates
        randomness.seed_globals(1234, 0)
    found += train(cursor, rng, 99)
    assert found == expected


class OwnLoader:
    """Draws from generators that it keeps from epoch to epoch."""

    def __init__(self) -> None:
        self.numpy, self.python = np.random.default_rng(1), random.Random(2)
        self.old = np.random.RandomState(3)

    def __iter__(self) -> Iterator[Any]:
        order = self.old.permutation(12)
        for index in range(6):
            yield order[2 * index : 2 * index + 2] + self.numpy.random() + self.python.random()


@pytest.mark.parametrize("stops", [(1,), (6,), (7,), (8, 9), (6, 12)])
def test_generators_of_the_data_go_on_with_it(stops: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)

    def trained(cursor: Cursor, data: Any, until: int) -> list[float]:
        log = []
        while cursor.epoch < 3:
            for batch in walk(cursor, data, rng):
                log.append(float(batch.sum()))
                if 6 * cursor.epoch + cursor.batches == until:
                    return log
            cursor.next_epoch()
        return log

    expected = trained(Cursor(), OwnLoader(), 99)
    cursor, found = Cursor(), []
    for stop in stops:
        found += trained(cursor, OwnLoader(), stop)
        cursor = reborn(cursor)
    assert found + trained(cursor, OwnLoader(), 99) == expected


def test_between_epochs_the_generators_of_the_data_are_kept_too() -> None:
    rng = np.random.default_rng(0)
    loader, cursor = OwnLoader(), Cursor()
    list(walk(cursor, loader, rng))
    cursor.next_epoch()
    once_more = reborn(reborn(cursor))
    assert str(list(walk(once_more, OwnLoader(), rng))) == str(list(walk(cursor, loader, rng)))


def test_other_generators_are_refused() -> None:
    rng = np.random.default_rng(0)
    cursor = Cursor()
    next(walk(cursor, OwnLoader(), rng))
    with pytest.raises(WrongData, match="0 random generators of its own, the checkpoint 3"):
        next(walk(reborn(cursor), DrawingLoader(6), rng))


@pytest.mark.parametrize(("data", "exact", "why"), [
    (ORDER, True, ""),
    ([1, 2, 3], True, ""),
    (np.zeros((3, 2)), True, ""),
    (iter([1, 2]), False, "a list_iterator cannot be begun again"),
    (DrawingLoader(2), False, "cannot tell whether a DrawingLoader yields the same"),
])  # fmt: skip
def test_it_is_told_whether_going_on_is_exact(
    data: Any, exact: bool, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    cursor = Cursor()
    before = cursor.exactness
    assert before is None, "nothing is known before the data was seen"
    next(walk(cursor, data, np.random.default_rng(0)))
    told = cursor.exactness
    assert told is not None
    assert told["exact"] is exact
    assert why in told.get("why", "")
    assert ("exact resume is not guaranteed" in capfd.readouterr().err) is not exact
    assert reborn(cursor).doubt == cursor.doubt, "it stays in the lineage"


def test_another_batch_in_the_place_of_the_last_one_is_seen() -> None:
    rng = np.random.default_rng(0)
    cursor = Cursor()
    walking = walk(cursor, [np.full(3, n) for n in range(4)], rng)
    next(walking)
    next(walking)
    same = reborn(cursor)
    next(walk(same, [np.full(3, n) for n in range(4)], rng))
    assert same.doubt == ""
    other = reborn(cursor)
    next(walk(other, [np.full(3, n * n + 1) for n in range(4)], rng))
    assert "batch 2 of epoch 0 changed" in other.doubt


@pytest.mark.parametrize("stop", [3, 6, 9, 12])
def test_a_framework_that_walks_the_data_itself_goes_on_exactly(stop: int) -> None:
    """It begins an epoch, skips what was consumed by reading it, and goes on."""

    def attempt(cursor: Cursor, done: int, until: int) -> list[float]:
        log = []
        for epoch in range(done // 6, 3):
            cursor.enter(epoch, capture=lambda: randomness.capture(rng), restore=restore)
            skipped = done - 6 * epoch if epoch == done // 6 else 0
            batches = iter(DrawingLoader(6))
            for _ in range(skipped):
                next(batches)
            cursor.settle(restore, consumed=skipped > 0)
            for batch in batches:
                log.append(float(batch.sum() + random.random() + np.random.random()))
                if done + len(log) == until:
                    return log
        return log

    def restore(plain: Any) -> None:
        randomness.restore(plain, rng)

    rng = np.random.default_rng(5)
    randomness.seed_globals(5, 0)
    expected = attempt(Cursor(), 0, 99)
    randomness.seed_globals(5, 0)
    cursor = Cursor()
    found = attempt(cursor, 0, stop)
    cursor = reborn(cursor, now=randomness.capture(rng))
    randomness.seed_globals(1234, 0)
    assert found + attempt(cursor, stop, 99) == expected


def test_a_loader_that_became_shorter_is_refused() -> None:
    rng = np.random.default_rng(0)
    cursor = Cursor()
    walking = walk(cursor, DrawingLoader(6), rng)
    for _ in range(4):
        next(walking)
    with pytest.raises(WrongData, match="after 3 batches"):
        next(walk(reborn(cursor), DrawingLoader(3), rng))


def test_a_second_walk_in_one_epoch_is_refused() -> None:
    rng = np.random.default_rng(0)
    cursor = Cursor()
    list(walk(cursor, ORDER, rng))
    with pytest.raises(RuntimeError, match="iterate other data directly"):
        walk(cursor, ORDER, rng)
    cursor.next_epoch()
    assert len(list(walk(cursor, ORDER, rng))) == 5


@pytest.mark.parametrize(("batch", "size"), [
    (np.zeros((4, 2)), 4), (np.float64(1), 1), ((np.zeros((4, 2)), np.zeros(4)), 4),
    ({"x": np.zeros((3, 2)), "y": 1}, 3), ([1, 2, 3], 3), (["a", "b"], 2), (5, 1), ((), 0), ({}, 0),
])  # fmt: skip
def test_samples_are_counted_by_the_first_array(batch: Any, size: int) -> None:
    assert samples_in(batch) == size
