from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import spot_training as spot
from kit.trainers import ScriptedBackend, a_notice, arrays_in, global_randomness, restoring
from spot_training.backends.backend import Done, Halt
from spot_training.run import Run
from spot_training.starting import start
from spot_training.state import TrainingState


@pytest.fixture(autouse=True)
def _global_randomness() -> Iterator[None]:
    with global_randomness():
        yield


class Trainer:
    """A script: one array, one step at a time."""

    def __init__(self, backend: ScriptedBackend, **options: Any) -> None:
        self.backend = backend
        self.w = np.zeros(4)
        self.run: Run = start(backend, TrainingState(arrays={"w": self.w}), **options)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.w += 1
            self.run.step(samples=8, loss=0.5)


def test_periodic_saves_wait_for_the_interval_and_for_each_other() -> None:
    backend = ScriptedBackend(interval=0.0, outcome=None)
    trainer = Trainer(backend)
    trainer.step(3)
    assert [facts.step for facts in backend.facts] == [1]
    backend.tickets[0].move("committed")
    trainer.step(2)
    assert [(facts.step, facts.reason) for facts in backend.facts] == [
        (1, "periodic"), (4, "periodic"),
    ]  # fmt: skip
    Trainer(slow := ScriptedBackend(interval=1000.0)).step(3)
    assert slow.facts == []


def test_a_snapshot_holds_the_state_of_its_step() -> None:
    backend = ScriptedBackend(interval=0.0)
    trainer = Trainer(backend)
    trainer.step()
    trainer.w += 100
    np.testing.assert_array_equal(arrays_in(backend.payloads[0])["arrays/w"], np.ones(4))
    (facts,) = backend.facts
    assert (facts.step, facts.samples, facts.epoch) == (1, 8, 0)
    assert 0 < facts.stall_seconds < 5
    assert backend.progress is not None
    assert backend.progress.stall_seconds == facts.stall_seconds


def test_no_free_arena_skips_a_periodic_save() -> None:
    backend = ScriptedBackend(interval=0.0, free=False)
    Trainer(backend).step(2)
    assert backend.facts == []
    assert backend.asked == [("periodic", 0.0)] * 2


@pytest.mark.parametrize("kind", ["Preempt", "PodDeletion"])
def test_a_certain_notice_saves_commits_and_pauses(kind: str) -> None:
    backend = ScriptedBackend()
    trainer = Trainer(backend)
    trainer.step(4)
    backend.current = a_notice(kind)
    with pytest.raises(spot.Paused) as pause:
        trainer.step()
    assert pause.value.code == 0
    assert [(facts.step, facts.reason) for facts in backend.facts] == [(5, "notice")]
    assert backend.events == [f"Paused: {kind} from imds: step 5 is committed", "closed"]
    with pytest.raises(RuntimeError, match="has ended"):
        trainer.step()


@pytest.mark.parametrize("kind", ["Rebalance", "Maintenance"])
def test_an_uncertain_notice_saves_once_and_goes_on(kind: str) -> None:
    backend = ScriptedBackend(current=a_notice(kind, seconds=3600))
    trainer = Trainer(backend)
    trainer.step(3)
    assert [facts.step for facts in backend.facts] == [1]
    assert backend.events == []


def test_without_enough_time_the_last_checkpoint_is_kept() -> None:
    backend = ScriptedBackend(interval=0.0)
    trainer = Trainer(backend)
    trainer.step()
    backend.tickets[0].seconds = 50.0  # as if the commit had taken so long
    backend.current = a_notice(seconds=20.0)
    with pytest.raises(spot.Paused, match="step 1 is committed, 1 replay"):
        trainer.step()
    assert [facts.step for facts in backend.facts] == [1]


@pytest.mark.parametrize(("fits", "saved"), [(True, [1, 2]), (False, [1])])
def test_a_backend_that_knows_better_decides_on_the_last_save(fits: bool, saved: list[int]) -> None:
    backend = ScriptedBackend(interval=0.0, fitting=fits)
    trainer = Trainer(backend)
    trainer.step()
    backend.tickets[0].seconds = 50.0 if fits else 0.1
    backend.current = a_notice(seconds=20.0)
    with pytest.raises(spot.Paused):
        trainer.step()
    assert [facts.step for facts in backend.facts] == saved


@pytest.mark.parametrize(("under_way", "second"), [(False, "notice"), (True, "periodic")])
def test_a_last_save_waits_behind_the_upload_under_way(under_way: bool, second: str) -> None:
    """Without a backend that could pause it: only if there is time for both."""
    backend = ScriptedBackend(interval=0.0)
    trainer = Trainer(backend)
    trainer.step()
    backend.tickets[0].seconds = 0.3
    if under_way:
        backend.outcome = None
        trainer.step()
    backend.current = a_notice(seconds=0.6)
    with pytest.raises(spot.Paused):
        trainer.step()
    saved = [(facts.step, facts.reason) for facts in backend.facts]
    assert saved == [(1, "periodic"), (2, second)]


def test_a_deadline_that_has_passed_is_not_tried() -> None:
    backend = ScriptedBackend(fitting=True, current=a_notice(seconds=-1.0))
    with pytest.raises(spot.Paused, match="not enough time"):
        Trainer(backend).step()
    assert backend.facts == []


def test_a_changed_interval_holds_for_the_wait_under_way() -> None:
    backend = ScriptedBackend(interval=1000.0)
    trainer = Trainer(backend)
    trainer.run._early = None
    trainer.step()
    backend.interval = 0.0
    trainer.step()
    assert [facts.step for facts in backend.facts] == [2]


def test_an_uncertain_notice_soon_after_a_save_is_not_worth_another() -> None:
    backend = ScriptedBackend(cost=100.0, current=a_notice("Rebalance", seconds=3600))
    Trainer(backend).step(2)
    assert backend.facts == []


def test_the_wait_for_a_commit_ends_before_the_deadline() -> None:
    backend = ScriptedBackend(outcome=None, current=a_notice(seconds=0.4))
    trainer = Trainer(backend)
    with pytest.raises(spot.Paused, match="not enough time to commit step 1"):
        trainer.step()
    assert [facts.step for facts in backend.facts] == [1]


def test_a_notice_joins_the_save_of_the_same_step() -> None:
    backend = ScriptedBackend()
    trainer = Trainer(backend)
    trainer.step()
    assert trainer.run.save()
    trainer.run.complete()
    assert [(facts.step, facts.reason) for facts in backend.facts] == [(1, "manual")]
    assert backend.events == ["complete 1", "closed"]


def test_a_failed_save_of_the_same_step_is_tried_again() -> None:
    backend = ScriptedBackend(outcome="failed")
    trainer = Trainer(backend)
    trainer.step()
    trainer.run.save()
    backend.outcome = "committed"
    trainer.run.complete()
    assert [facts.step for facts in backend.facts] == [1, 1]


def test_a_final_checkpoint_that_fails_is_no_completion() -> None:
    backend = ScriptedBackend(outcome="failed")
    trainer = Trainer(backend)
    trainer.step()
    with pytest.raises(RuntimeError, match="not committed: as the test said"):
        trainer.run.complete()
    assert backend.events == []


def test_a_final_snapshot_that_was_forgotten_is_taken_again() -> None:
    backend = ScriptedBackend(forgets=1)
    trainer = Trainer(backend)
    trainer.step()
    trainer.run.complete()
    assert [facts.step for facts in backend.facts] == [1, 1]
    assert backend.events == ["complete 1", "complete 1", "closed"]


def test_callbacks_inform_once_and_never_end_the_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[spot.Notice] = []

    def callback(notice: spot.Notice) -> None:
        told.append(notice)
        raise KeyError("the script's own mistake")

    backend = ScriptedBackend(current=a_notice("Rebalance"))
    trainer = Trainer(backend, on_notice=callback)
    trainer.step(3)
    assert told == [backend.current]
    assert "on_notice raised KeyError" in capsys.readouterr().err
    backend.current = a_notice("Preempt")
    with pytest.raises(spot.Paused):
        trainer.step()
    assert told[1:] == [backend.current]


def test_restoring_goes_on_where_the_snapshot_was_taken() -> None:
    first = Trainer(ScriptedBackend(interval=0.0), seed=3)
    first.step(2)
    first.run.rng.random(5)
    first.step()
    expected = (first.run.rng.random(), np.random.random())
    backend = ScriptedBackend(restoring(first.backend.payloads[-1], step=3), attempt=2)
    second = Trainer(backend, seed=3)
    assert backend.events == ["resumed 3 []"]
    assert (second.run.current_step, second.run.samples, second.run.attempt) == (3, 24, 2)
    assert second.run.metrics == {"loss": 0.5}
    np.testing.assert_array_equal(second.w, 3)
    assert (second.run.rng.random(), np.random.random()) == expected


def test_a_resumed_run_waits_a_whole_interval() -> None:
    first = Trainer(ScriptedBackend(interval=0.0))
    first.step()
    backend = ScriptedBackend(restoring(first.backend.payloads[-1]), interval=1000.0)
    Trainer(backend).step(2)
    assert backend.facts == []


def test_seeds_make_fresh_starts_equal() -> None:
    numbers = []
    for _ in range(2):
        trainer = Trainer(ScriptedBackend(), seed=11)
        numbers.append((trainer.run.rng.random(), np.random.random()))
    assert numbers[0] == numbers[1]
    other_rank = Trainer(ScriptedBackend(rank=1), seed=11)
    assert other_rank.run.rng.random() != numbers[0][0]


def test_what_loading_changed_ends_the_attempt() -> None:
    class Casting:
        def __init__(self, value: float) -> None:
            self.m = np.full(2, value)

        def state_dict(self) -> Any:
            return {"m": self.m}

        def load_state_dict(self, state: Any) -> None:
            self.m = state["m"].astype("f4").astype("f8")

    def trained(backend: ScriptedBackend, value: float) -> Run:
        return start(backend, TrainingState(objects={"optimizer": Casting(value)}))

    first = ScriptedBackend(interval=0.0)
    trained(first, 0.1).step()
    second = ScriptedBackend(restoring(first.payloads[0]))
    with pytest.raises(spot.StateDiffers, match="optimizer/m"):
        trained(second, 0.0)
    assert second.events == ["resumed 10 ['optimizer/m']", "closed"]


def test_another_script_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    first = Trainer(ScriptedBackend(interval=0.0))
    first.step()
    backend = ScriptedBackend(restoring(first.backend.payloads[0]))
    with pytest.raises(spot.Refused) as refusal:
        start(backend, TrainingState(arrays={"w": np.zeros(5)}))
    assert refusal.value.code == 93
    assert "float64[4] there and float64[5] here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("beginning", "error", "code"),
    [
        (Done("attempt 2 completed it"), spot.AlreadyCompleted, 0),
        (Halt("NoValidCheckpoint", "nothing left"), spot.Stopped, 94),
    ],
)
def test_a_run_that_may_not_train_leaves(
    beginning: Done | Halt, error: type[SystemExit], code: int
) -> None:
    backend = ScriptedBackend(beginning)
    with pytest.raises(error) as leaving:
        Trainer(backend)
    assert leaving.value.code == code
    assert backend.events == ["closed"]


def test_refuse_leaves_with_93(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(spot.Refused) as refusal:
        spot.refuse("the data has no labels")
    assert refusal.value.code == 93
    assert "the data has no labels" in capsys.readouterr().err


def test_busy_is_told_and_ends_even_by_an_error() -> None:
    backend = ScriptedBackend()
    run = Trainer(backend).run
    with pytest.raises(ValueError, match="boom"), run.busy("eval"):
        raise ValueError("boom")
    assert backend.events == ["busy eval", "busy None"]


def test_epochs_and_batches_count_samples() -> None:
    backend = ScriptedBackend(interval=0.0)
    run = Trainer(backend).run
    order = spot.ShuffledBatches(10, 4)
    seen = []
    for epoch in run.epochs(2):
        for rows in run.batches(order):
            run.step()
            seen.append((epoch, len(rows)))
    assert seen == [(0, 4), (0, 4), (0, 2), (1, 4), (1, 4), (1, 2)]
    assert run.samples == 20
    assert [facts.samples for facts in backend.facts] == [4, 8, 10, 14, 18, 20]
    assert [facts.epoch for facts in backend.facts] == [0, 0, 0, 1, 1, 1]


def test_between_steps_a_notice_is_heeded_when_asked() -> None:
    backend, warned = ScriptedBackend(), []
    trainer = Trainer(backend)
    trainer.step(2)
    for notice in (None, a_notice("Rebalance"), a_notice()):
        backend.current = notice
        warned.append(trainer.run.warned)
        if not warned[-1]:
            trainer.run.heed()
    assert warned == [False, False, True]
    with pytest.raises(spot.Paused, match="step 2 is committed"):
        trainer.run.heed()


def test_a_checkpoint_holds_the_random_state_that_was_marked() -> None:
    backend = ScriptedBackend()
    trainer = Trainer(backend, seed=7)
    trainer.step()
    trainer.run.mark()
    expected = trainer.run.rng.random()
    trainer.run.save()
    resumed = Trainer(ScriptedBackend(beginning=restoring(backend.payloads[-1])), seed=1)
    assert resumed.run.rng.random() == expected


def test_what_cannot_be_kept_is_found_before_a_save_is_due() -> None:
    backend = ScriptedBackend()
    run = start(backend, TrainingState(extras={"tool": object()}))
    with pytest.raises(TypeError, match=r"extras/tool: builtins.object cannot be saved"):
        run.rehearse()
    assert backend.asked == []
