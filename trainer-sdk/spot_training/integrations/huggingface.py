"""The Hugging Face Trainer, resumed exactly.

    from spot_training.integrations.huggingface import SpotCallback

    survival = SpotCallback()
    trainer = Trainer(…, callbacks=[survival])
    trainer.train(resume_from_checkpoint=spot.resume_path())
    trainer.save_model("/results")
    survival.complete()

A step is over for us where the next one begins (`on_step_begin`), not at `on_step_end`: only then
is it logged and evaluated, the next batches are read, and the random state is the one that the
Trainer's own resume would put back there. Source: transformers.Trainer._run_epoch, 5.23.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from spot_training import randomness
from spot_training.exits import tell
from spot_training.integrations import huggingface_limits as limits
from spot_training.integrations.attached import Attached
from spot_training.integrations.huggingface_folder import lay_out, position_of
from spot_training.starting import Opened, refuse
from spot_training.state import CARRIED, TrainingState


class SpotCallback(Attached, TrainerCallback):
    """Saves, pauses and resumes a Trainer; make it together with the Trainer.

    `callbacks` are those of the Trainer's callbacks that keep state (`EarlyStoppingCallback`): the
    Trainer does not show them to each other. `train()` leaves by spot.Paused (SystemExit 0) after a
    certain notice; it returns only when the training has ended.
    """

    framework = "the Hugging Face Trainer"
    trains_by = "trainer.train()"
    resumes_by = "trainer.train(resume_from_checkpoint=spot.resume_path())"

    def __init__(self, *, callbacks: Sequence[Any] = ()) -> None:
        super().__init__()
        self._callbacks = list(callbacks)
        self._model: Any = None
        self._folder: Path | None = None
        self._state: Any = None
        self._control: Any = None
        self._sized = True
        self._per_epoch = 1
        self._samples = (0, 0)
        self._epoch = 0
        self._pending = False
        self._drawn: Any = None
        self._watching = True

    def _lay_out(self, opened: Opened) -> str:
        if self._model is None:
            opened.decline("pass the SpotCallback to Trainer(callbacks=[…]), before resume_path()")
        carried = opened.plain[CARRIED]
        if not carried["ended"] and not carried["sized"] and carried["state"]["epoch"] > 1:
            opened.decline(
                "the training data has no length and was read to its end before: the Trainer "
                "cannot find its place in it; give the data a length"
            )
        self._folder = lay_out(carried["state"], position_of(carried), self._model)
        return str(self._folder)

    # -- the Trainer's events ----------------------------------------------------------------------

    def on_init_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._model = given["model"]
        for problem in limits.refused(args, self._model):
            refuse(problem)

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        opened = self._taken(state)
        loader = given["train_dataloader"]
        self._state, self._control = state, control
        self._measure(args, loader)
        if opened.restore is not None:
            self._expect_place(opened, opened.plain[CARRIED])
        for problem in limits.unsaved(state, self._callbacks):
            opened.decline(problem)
        run = self._take_up(opened, self._training_state(given))
        if opened.restore is not None:
            self._go_on(opened.plain[CARRIED], loader)
        self._epoch = state.global_step // self._per_epoch
        for line in limits.inexact(args, loader):
            run.doubt(line)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        run = self._running()
        if args.ignore_data_skip:
            run.settle()
        run.enter_epoch(self._epoch)
        self._epoch += 1
        self._drawn = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._running().settle()
        self._notice_draws()
        self._end_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._pending, self._control = True, control
        if control.should_evaluate or control.should_save:
            self._pause_before("evaluation or saving", state)
        elif self._watching:
            self._drawn = randomness.capture(self._running().rng)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if self._run is None:
            return  # an evaluation before the training, or after complete()
        self._fall_silent("evaluation")
        self._pause_before("evaluation", state)

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._end_silence()

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any, **given: Any) -> None:
        self.on_evaluate(args, state, control)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        run = self._running()
        self._ended = True
        self._end_step()
        run.save("final")
        tell(f"trained to step {state.global_step}; SpotCallback.complete() ends the job")

    # -- beginning ---------------------------------------------------------------------------------

    def _taken(self, state: Any) -> Opened:
        opened = self._take()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if opened.restore is not None:
            carried = opened.plain[CARRIED]
            if state.global_step != position_of(carried):
                self._decline_without_path(opened)
            state.global_step = carried["state"]["global_step"]
            if carried["ended"] and state.max_steps > carried["state"]["max_steps"]:
                opened.decline(
                    f"the training had ended at step {state.global_step}, and the script now asks "
                    f"for {state.max_steps} steps: begin another job from what it saved"
                )
        return opened

    def _expect_place(self, opened: Opened, carried: dict[str, Any]) -> None:
        """The Trainer finds it where the checkpoint was taken."""
        if self._sized and carried["sized"] and not carried["ended"]:
            before = carried["stepsPerEpoch"]
            self._expect_same_epochs(opened, "steps", before, self._per_epoch)

    def _training_state(self, given: dict[str, Any]) -> TrainingState:
        wrapped = given["optimizer"]
        scaler = getattr(wrapped, "scaler", None)
        objects = {
            "model": given["model"],
            "optimizer": getattr(wrapped, "optimizer", wrapped),  # out of accelerate's wrapper
            "scheduler": given["lr_scheduler"],
        }
        scalers = {} if scaler is None else {"scaler": scaler}
        return TrainingState(objects=objects | scalers, carried=self._carried)

    def _measure(self, args: Any, loader: Any) -> None:
        """How many steps an epoch has, and how many samples a step and an epoch."""
        each = args.train_batch_size * args.gradient_accumulation_steps
        self._sized = limits.sized(loader)
        if self._sized:
            self._per_epoch = max(1, -(-len(loader) // args.gradient_accumulation_steps))
            self._samples = (each, len(loader.dataset))
        else:
            self._per_epoch = args.max_steps
            self._samples = (each, each * args.max_steps)

    def _go_on(self, carried: dict[str, Any], loader: Any) -> None:
        for callback in self._callbacks:
            kept = carried["callbacks"].get(type(callback).__name__, {"attributes": {}})
            for name, value in kept["attributes"].items():
                setattr(callback, name, value)
        if carried["ended"]:
            tell(f"the training had ended at step {self._state.global_step}; nothing is repeated")
        elif loader.num_workers and self._state.global_step % self._per_epoch:
            self._running().doubt(
                "where samples draw random numbers while they are read, the Trainer skips what "
                "was consumed without reading it"
            )

    # -- steps -------------------------------------------------------------------------------------

    def _end_step(self) -> None:
        """The step is over, with all that belongs to it."""
        if self._pending:
            self._pending = False
            run = self._running()
            run.step(samples=max(0, self._consumed(self._state.global_step) - run.samples))

    def _pause_before(self, what: str, state: Any) -> None:
        """With a certain notice there is no time for it."""
        run = self._running()
        if not run.warned or not (self._pending or self._ended):
            return
        if not self._ended:
            tell(f"the {what} at step {state.global_step} is cut off and will not be repeated")
        self._end_step()
        run.heed()

    def _consumed(self, step: int) -> int:
        each, in_epoch = self._samples
        return step // self._per_epoch * in_epoch + min(step % self._per_epoch * each, in_epoch)

    def _notice_draws(self) -> None:
        """Between the end of a step without evaluation and this point, batches were read only."""
        before, self._drawn = self._drawn, None
        if before is None:
            return
        self._watching = False
        if randomness.capture(self._running().rng) != before:
            self._running().doubt(
                "reading the data draws random numbers in this process, and the Trainer skips "
                "what was consumed without reading it"
            )

    def _carried(self) -> dict[str, Any]:
        return {
            "framework": self.framework,
            "state": dataclasses.asdict(self._state),
            "stepsPerEpoch": self._per_epoch,
            "sized": self._sized,
            "ended": self._ended or self._at_end(),
            "callbacks": {type(each).__name__: each.state() for each in self._callbacks},
        }

    def _at_end(self) -> bool:
        reached = self._state.global_step >= self._state.max_steps
        return bool(reached or self._control.should_training_stop)
