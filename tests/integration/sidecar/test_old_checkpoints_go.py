"""Retention by real sidecars, in a bucket and in a volume: what goes, and what never does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.raw_trainer import begin, save, state
from kit.s3_proxy import Answer, s3_proxy, sometimes
from kit.sidecar import (
    BUCKET,
    LINEAGE,
    PodFolder,
    SidecarProcess,
    a_pod,
    eventually,
    lineage_in,
    lineage_store,
)
from kit.stores import FaultyStore, S3Server, make_older
from spot_training.checkpoint import keys
from spot_training.checkpoint.manifest import Pin
from spot_training.checkpoint.pruning import Pruner
from spot_training.checkpoint.records import dump
from spot_training.checkpoint.retention import DELAY
from spot_training.checkpoint.store import Store

STEPS = (1, 2, 3, 4, 5)
AT = "2026-01-02T03:04:05.000000Z"


@dataclass(slots=True)
class Place:
    """A lineage on a real store, whose files can be made older where it keeps them."""

    store: Store
    files: Path
    where: dict[str, Any]

    @contextlib.contextmanager
    def pod(self, folder: Path, attempt: int = 1, **config: Any) -> Iterator[PodFolder]:
        """A granted pod that looks after the lineage at every checkpoint."""
        where = {**self.where, "keep": {"newest": 3, "pause": 0}, **config}
        with a_pod(folder / str(attempt), attempt=attempt, **where) as pod:
            newest = self.store.list(keys.COMMITS)[:1]
            found = [parsed for key in newest if (parsed := keys.parse_commit(key))]
            pod.grant(
                newest={"attempt": one.attempt, "step": one.step, "id": str(one)}
                if (one := next(iter(found), None))
                else None
            )
            yield pod

    def steps(self, prefix: str = keys.COMMITS) -> list[int]:
        """The steps of all that stand below `prefix`."""
        parse: dict[str, Callable[[str], object]] = {
            keys.COMMITS: keys.parse_commit,
            keys.EXPIRED: keys.parse_expired,
            keys.DATA: lambda key: (keys.parse_data(key) or (None,))[0],
        }
        found = [parse[prefix](key) for key in self.store.list(prefix)]
        return sorted(keys.CheckpointId.parse(str(id_)).step for id_ in found)

    def id_of(self, step: int) -> str:
        found = (keys.parse_commit(key) for key in self.store.list(keys.COMMITS))
        return next(str(one) for one in found if one and one.step == step)

    def an_hour_passes(self) -> None:
        for key in self.store.list(keys.EXPIRED):
            make_older(self.files / key, DELAY + 60)


@pytest.fixture(params=["bucket", "volume"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "bucket":
        s3: S3Server = request.getfixturevalue("s3")
        return Place(lineage_store(s3), s3.data / BUCKET / LINEAGE, {"s3": s3})
    volume = tmp_path / "volume"
    volume.mkdir()
    store = lineage_in(volume)
    store.root.mkdir(parents=True)
    return Place(store, store.root, {"volume": volume})


def save_all(sidecar: SidecarProcess, *steps: int) -> None:
    for step in steps:
        assert state(sidecar, save(sidecar, step, reason="manual"), wait=20) == "committed"


def expect_given_up(place: Place, *steps: int) -> None:
    eventually(f"{steps} are given up", lambda: place.steps(keys.EXPIRED) == list(steps))


def expect_left(place: Place, *steps: int) -> None:
    eventually(f"{steps} are left", lambda: place.steps(keys.DATA) == list(steps))
    assert place.steps() == list(steps)


def expect_metric(sidecar: SidecarProcess, line: str) -> None:
    """Metrics follow the pass over the store, which is seen before it ends."""
    eventually(line, lambda: line in sidecar.get("/metrics")[1])


def test_old_ones_are_given_up_and_deleted_an_hour_later(folder: Path, place: Place) -> None:
    with place.pod(folder) as pod, pod.sidecar() as sidecar:
        begin(sidecar)
        save_all(sidecar, *STEPS)
        expect_given_up(place, 1, 2)
        assert place.steps() == [1, 2, 3, 4, 5]
        place.an_hour_passes()
        save_all(sidecar, 6)
        expect_left(place, 3, 4, 5, 6)
        expect_given_up(place, 3)
        expect_metric(sidecar, "spot_checkpoints_deleted_total 2.0")
        expect_metric(sidecar, 'spot_checkpoints_kept{reason="verified"} 2.0')
        assert sidecar.terminate() == 0


def test_a_sidecar_that_died_between_the_phases_is_followed_by_the_next(
    folder: Path, place: Place
) -> None:
    with place.pod(folder) as pod, pod.sidecar() as sidecar:
        begin(sidecar)
        save_all(sidecar, *STEPS)
        expect_given_up(place, 1, 2)
        sidecar.kill()
    # It had begun to delete: the first has lost its receipts and its manifest.
    half = place.id_of(1)
    place.store.delete(keys.receipt(half, 0))
    place.store.delete(keys.commit(half))
    place.an_hour_passes()
    with place.pod(folder, attempt=2) as pod, pod.sidecar() as sidecar:
        assert begin(sidecar)["step"] == 5
        expect_left(place, 3, 4, 5)
        expect_given_up(place)  # of a deletion the expiry is the last to go
        assert [key for key in place.store.list("") if half in key] == []
        assert sidecar.terminate() == 0


def test_a_pin_saves_what_was_given_up(folder: Path, place: Place) -> None:
    with place.pod(folder) as pod, pod.sidecar() as sidecar:
        begin(sidecar)
        save_all(sidecar, *STEPS)
        expect_given_up(place, 1, 2)
        pin = Pin(id=place.id_of(1), by="a person", why="paper", at=AT)
        place.store.create(keys.pin(pin.id), dump(pin))
        place.an_hour_passes()
        save_all(sidecar, 6)
        expect_left(place, 1, 3, 4, 5, 6)
        expect_given_up(place, 3)


def test_a_zombie_that_wakes_amid_its_pass_deletes_nothing_of_the_next_attempts(
    folder: Path, place: Place
) -> None:
    """The worst case: everything newer is lost, and the next attempt needs what was given up."""
    with place.pod(folder) as pod, pod.sidecar() as sidecar:
        begin(sidecar)
        save_all(sidecar, *STEPS)
        expect_given_up(place, 1, 2)
        sidecar.kill()
    place.an_hour_passes()
    lost = [place.id_of(step) for step in (3, 4, 5)]
    with contextlib.ExitStack() as stack:

        def stands_still(method: str, key: str) -> None:
            """Between its look and its first deletion another attempt runs."""
            if (method, key) != ("list", keys.pin(place.id_of(2))) or len(lost) == 0:
                return
            while lost:
                place.store.delete(keys.data(lost.pop(), 0, 0))
            pod = stack.enter_context(place.pod(folder, attempt=2))
            assert begin(stack.enter_context(pod.sidecar()))["step"] == 2

        zombie = Pruner(1, "node-z", lambda: AT)
        assert zombie.prune(FaultyStore(place.store, stands_still)).deleted == ()
        assert lost == []
        assert place.steps(keys.DATA) == [1, 2]
        expect_given_up(place)
        assert {1, 2} <= set(place.steps())


def test_a_store_that_lets_nobody_delete_is_no_problem_of_the_job(
    folder: Path, s3: S3Server
) -> None:
    place = Place(lineage_store(s3), s3.data / BUCKET / LINEAGE, {"s3": s3})
    with s3_proxy(s3) as proxy, place.pod(folder) as pod:
        proxy.fault = sometimes(Answer(403, "AccessDenied"), "DeleteObject", times=10**6)
        pod.config["store"]["s3"]["endpointURL"] = proxy.url
        with pod.sidecar() as sidecar:
            begin(sidecar)
            save_all(sidecar, *STEPS)
            expect_given_up(place, 1, 2)
            place.an_hour_passes()
            save_all(sidecar, 6)
            assert pod.operator is not None
            reports = pod.operator.reports

            def told() -> list[str]:
                found = [event for report in reports for event in report["events"]]
                return [one["message"] for one in found if one["reason"] == "RetentionRefused"]

            message = eventually("the refusal is told", told)[0]
            assert "AccessDenied" in message
            save_all(sidecar, 7)
            assert place.steps() == [1, 2, 3, 4, 5, 6, 7]
            assert sidecar.terminate() == 0
        assert reports[-1]["problem"] is None
