"""Whatever the trainer does and the uploads take: arenas, lines and stages stay consistent."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.clock import EPOCH, FakeClock, in_fake_time
from spot_sidecar.config.paths import Paths
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.shared_memory.arenas import Arenas
from spot_sidecar.snapshots.intake import HandOver, Intake
from spot_sidecar.snapshots.snapshot import Snapshot, State
from spot_sidecar.snapshots.stages import Stages
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.pod_journal import PodJournal

STAGING = 64 * 1024
operations = st.lists(
    st.sampled_from(["periodic", "notice", "take up", "commit", "fail", "die"]), max_size=40
)


class World:
    """An intake, the trainer's and the uploader's moves, and what must hold after each."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        paths = Paths(shared=folder, private=folder)
        self.clock = clock
        self.arenas = Arenas(paths, STAGING)
        self.stages = Stages(clock)
        self.attempt_state = AttemptState(clock, 1, clock.now())
        self.journal = PodJournal(paths.journal)
        self.intake = Intake(
            self.arenas,
            self.stages,
            attempt_state=self.attempt_state,
            journal=self.journal,
            metrics=Metrics(),
        )
        self.intake.open("0123abcd")
        self.step = 0
        self.handed: list[str] = []

    async def save(self, reason: str) -> None:
        busy = self.intake.line(0).running is not None
        index = await self.intake.acquire(0, reason, 0)
        if reason == "notice":
            assert index is not None, "one arena is uploaded at most: a notice finds the other"
        if index is None:
            assert busy
            return
        self.step += 1
        self.handed.append(self.intake.take(self.hand_over(index, self.step, reason)))

    def hand_over(self, index: int, step: int, reason: str) -> HandOver:
        def snapshot(id_: str) -> Snapshot:
            return Snapshot(id_, 0, index, 2, 10, step, 0, 0, reason, 0.0, EPOCH)

        return HandOver(snapshot, 0, index, step)

    def take_up(self) -> None:
        if running := self.intake.line(0).advance():
            self.stages.set(running.id, State.UPLOADING)

    def end(self, state: State) -> None:
        line = self.intake.line(0)
        if line.running:
            self.intake.release(line.running)
            self.intake.end(line.running, state)
            line.done()

    def expect_consistent(self) -> None:
        unfinished = self.intake.unfinished
        line = self.intake.line(0)
        assert {one.id for one in unfinished} == {
            one.id for one in (line.running, line.waiting) if one
        }
        places = [(one.process, one.arena) for one in unfinished]
        assert len(set(places)) == len(places)
        for process, index in places:
            assert self.arenas.holds(process, index)
        for id_ in self.handed[-8:]:
            stage = self.stages.get(id_)
            assert stage is not None
            assert stage.state.final == (id_ not in {one.id for one in unfinished})
        kept = {raw["id"] for raw in self.journal.get("snapshots", ())}
        assert kept == {one.id for one in unfinished}


@settings(max_examples=60, deadline=None)
@given(operations)
def test_no_snapshot_is_overwritten_forgotten_or_ended_twice(moves: list[str]) -> None:
    async def scenario(clock: FakeClock) -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder), clock)
            await world.arenas.provide(0, 10)
            for move in moves:
                if move in {"periodic", "notice"}:
                    await world.save(move)
                elif move == "take up":
                    world.take_up()
                elif move == "die":
                    world.arenas.take_back(0)
                else:
                    world.end(State.COMMITTED if move == "commit" else State.FAILED)
                world.expect_consistent()

    in_fake_time(scenario)
