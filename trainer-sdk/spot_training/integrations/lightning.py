"""Lightning's Trainer, resumed exactly.

    from spot_training.integrations.lightning import SpotCallback

    survival = SpotCallback()
    trainer = Trainer(…, callbacks=[survival])
    trainer.fit(model, loader, ckpt_path=spot.resume_path())
    trainer.save_checkpoint("/results/model.ckpt")
    survival.complete()

A step is over for us where the next batch begins (`on_train_batch_start`): only then is it logged,
validated and counted by Lightning's loops. A loader that cannot find its place by itself is read
again up to it, as `run.batches` does. Source: lightning.pytorch.loops, 2.6.
"""

from __future__ import annotations

import signal
import threading
import warnings
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from spot_training import randomness
from spot_training.checkpoint import codec
from spot_training.data import samples_in
from spot_training.exits import tell
from spot_training.integrations import lightning_limits as limits
from spot_training.integrations.attached import Attached
from spot_training.integrations.lightning_dump import (
    InMemory,
    before_a_batch,
    before_validation,
    dump,
    place_loaders,
)
from spot_training.run import Run
from spot_training.starting import Opened
from spot_training.state import CARRIED, TrainingState
from spot_training.torch_state.modules import METADATA, ModuleState


class SpotCallback(Attached, Callback):
    """Saves, pauses and resumes a Lightning Trainer; make it together with the Trainer.

    `fit()` leaves by spot.Paused (SystemExit 0) after a certain notice; it returns only when the
    training has ended.
    """

    framework = "Lightning"
    trains_by = "trainer.fit()"
    resumes_by = "trainer.fit(…, ckpt_path=spot.resume_path())"

    def __init__(self) -> None:
        super().__init__()
        self._trainer: Any = None
        self._path = ""
        self._io: Any = None
        self._loaded = False
        self._sigterm: Any = None
        self._steps = 0
        self._samples = 0
        self._entered: int | None = None
        self._positioned: list[Any] = []
        self._places: list[Any] = []
        self._batches_that_stepped: int | None = None
        self._correct: Any = None
        self._pending = False

    def _lay_out(self, opened: Opened) -> str:
        checkpoint = opened.restore.manifest.id if opened.restore else ""
        self._path = f"checkpoint {checkpoint} of spot-training"
        return self._path

    # -- Lightning's hooks, in their order ---------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if stage != "fit":
            return
        self._trainer = trainer
        opened = self._opened or self._take()
        for problem in limits.refused(trainer):
            opened.decline(problem)
        if opened.restore is not None:
            self._io = trainer.strategy.checkpoint_io
            trainer.strategy.checkpoint_io = InMemory(self._io, self._path, self._handed_over)
        self._sigterm = signal.getsignal(signal.SIGTERM)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        if self._io is not None:
            trainer.strategy.checkpoint_io, self._io = self._io, None
            if self._opened is not None and not self._loaded:
                self._decline_without_path(self._opened)
        if self._carried_of(self._opened).get("ended"):
            trainer.should_stop = True  # early stopping is not among what Lightning keeps

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._keep_sigterm()
        self._begin(trainer, pl_module)
        self._find_place(trainer)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._entered != trainer.current_epoch:
            self._enter(trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._batches_that_stepped is not None:
            # Lightning counts the batch before once more; its loggers would be one ahead.
            loop = trainer.fit_loop.epoch_loop
            loop._batches_that_stepped = self._batches_that_stepped  # noqa: SLF001
            self._batches_that_stepped = None
        self._correct = before_a_batch
        self._end_step()
        self._correct = None

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._samples += samples_in(batch)
        self._pending = trainer.global_step > self._steps
        if self._pending:
            self._running().mark()
            self._places = [loader.state_dict() for loader in self._positioned]

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._fall_silent("validation")

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        run = self._run
        if run is None or trainer.sanity_checking or not run.warned:
            return
        if self._pending:
            tell(f"the validation at step {trainer.global_step} is cut off, and done again")
            self._correct = before_validation
            self._end_step()
        if self._ended:
            run.heed()  # the script validates once more, behind its training

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._end_silence()
        if self._run is not None and not trainer.sanity_checking:
            self._run.mark()

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        self._fall_silent("test")

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        self._end_silence()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._ended = True
        self._end_step()
        self._running().save("final")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if isinstance(exception, SIGTERMException) and self._run is not None:
            self._end_step()  # a SIGTERM from before `_keep_sigterm`: Lightning was about to leave

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        if self._run is None:  # the training had ended before: Lightning skipped it
            self._begin(trainer, pl_module)
            self._ended = True
            tell(f"the training had ended at step {trainer.global_step}; nothing is repeated")
        tell("the training has ended; SpotCallback.complete() ends the job")

    # -- beginning ---------------------------------------------------------------------------------

    def _handed_over(self) -> dict[str, Any]:
        """What Lightning loads; optimizers and schedulers are put back by us, exactly."""
        opened, module = self._opened, self._trainer.lightning_module
        if opened is None:
            raise RuntimeError("Lightning loads the checkpoint twice")
        model: dict[str, Any] = codec.from_plain(opened.plain["objects"]["model"], opened.stored)
        problems = list(ModuleState(module).mismatches(dict(model)))
        if problems:
            opened.decline(f"the checkpoint does not fit this script: {'; '.join(problems[:5])}")
        del model[METADATA]
        self._loaded = True
        carried = self._carried_of(opened)
        own = {"state_dict": model, "optimizer_states": [], "lr_schedulers": []}
        return {**carried["checkpoint"], **own}

    def _carried_of(self, opened: Opened | None) -> dict[str, Any]:
        if opened is None or opened.restore is None:
            return {}
        return dict(codec.from_plain(opened.plain[CARRIED], opened.stored))

    def _begin(self, trainer: Any, module: Any) -> None:
        opened = self._take()
        carried = self._carried_of(opened)
        before, now = carried.get("batchesPerEpoch"), self._batches_per_epoch()
        if before and now and trainer.fit_loop.epoch_loop.batch_progress.current.completed:
            self._expect_same_epochs(opened, "batches", before, now)
        state = TrainingState(objects=self._objects(trainer, module), carried=self._carried)
        run = self._take_up(opened, state)
        self._steps, self._samples = trainer.global_step, run.samples
        if carried:
            loops = carried["checkpoint"]["loops"]["fit_loop"]
            self._batches_that_stepped = loops["epoch_loop.state_dict"]["_batches_that_stepped"]
            self._places = loops["state_dict"]["combined_loader"]

    def _objects(self, trainer: Any, module: Any) -> dict[str, Any]:
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        return {
            "model": module,
            "precision": trainer.precision_plugin,
            **{f"optimizer{index}": each for index, each in enumerate(trainer.optimizers)},
            **{f"scheduler{index}": each for index, each in enumerate(schedulers)},
        }

    def _keep_sigterm(self) -> None:
        """Lightning would leave after the batch, whether or not it is the end of a step."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm)

    # -- the data ----------------------------------------------------------------------------------

    def _find_place(self, trainer: Any) -> None:
        """Begins the epoch's data anew, behind what was consumed.

        Lightning has begun it before any callback was asked: what that drew belongs to nobody.
        """
        fetcher = trainer.fit_loop._data_fetcher  # noqa: SLF001 - it has no other name
        loaders = fetcher.combined_loader.flattened
        for line in limits.inexact(trainer, trainer.lightning_module, loaders):
            self._running().doubt(line)
        progress = trainer.fit_loop.epoch_loop.batch_progress
        for part in (progress.total, progress.current):
            part.ready = part.started = part.completed  # the batch that was ready is read again
        self._enter(trainer.current_epoch)
        run = self._running()
        consumed = progress.current.completed
        if all(limits.positioned(loader) for loader in loaders):
            self._positioned = loaders
            if self._places and not consumed:  # begun once more, with the right random state
                for loader, place in zip(loaders, self._places, strict=True):
                    loader.load_state_dict(place)
                iter(fetcher)
        else:
            iter(fetcher)
            for _ in range(consumed):
                next(fetcher)
            fetcher.fetched = 0  # Lightning adds what was consumed by itself
            # It also warns of what was just made good.
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before")
        run.settle(consumed=consumed > 0)
        fetcher.iterator = _Undisturbed(fetcher.iterator, run)

    def _enter(self, epoch: int) -> None:
        self._entered = epoch
        self._running().enter_epoch(epoch)

    # -- steps -------------------------------------------------------------------------------------

    def _end_step(self) -> None:
        """The step is over, with all that belongs to it."""
        if self._pending:
            self._pending, self._steps = False, self._trainer.global_step
            run = self._running()
            run.step(samples=self._samples - run.samples)

    def _carried(self) -> dict[str, Any]:
        checkpoint = dump(self._trainer)
        place_loaders(checkpoint, self._places)
        if self._correct is not None:
            self._correct(checkpoint)
        return {
            "framework": self.framework,
            "ended": self._ended,
            "batchesPerEpoch": self._batches_per_epoch(),
            "checkpoint": checkpoint,
        }

    def _batches_per_epoch(self) -> int | None:
        """None where the data has no length."""
        batches = self._trainer.num_training_batches
        return None if batches == float("inf") else int(batches)


class _Undisturbed:
    """An epoch's batches, the first of them read with the random state of now.

    Lightning draws in between: after a resume it prepares a validation, which it then skips.
    """

    def __init__(self, batches: Any, run: Run) -> None:
        self._batches = batches
        self._run = run
        self._now: randomness.Mark | None = randomness.Mark(run.rng)

    def __iter__(self) -> _Undisturbed:
        return self

    def __next__(self) -> Any:
        if self._now is not None:
            randomness.restore(self._now.to_plain(), self._run.rng)
            self._now = None
        return next(self._batches)
