"""`resume`: from a script's state to a run that may train."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from spot_training import randomness, snapshots
from spot_training.backends.backend import Backend, Done, Halt, Restore
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.records import UnsupportedSchema
from spot_training.clock import Clock, SystemClock
from spot_training.exits import AlreadyCompleted, Refused, StateDiffers, Stopped, leave, tell
from spot_training.run import NoticeCallback, Run
from spot_training.state import TrainingState, WrongState

DEFAULT_DIRECTORY = "spot-checkpoints"
DEFAULT_INTERVAL = 300.0


def resume(
    *,
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    arrays: Mapping[str, Any] | None = None,
    objects: Mapping[str, Any] | None = None,
    extras: MutableMapping[str, Any] | None = None,
    seed: int | None = None,
    on_notice: NoticeCallback | None = None,
    directory: str | os.PathLike[str] | None = None,
    interval: float | None = None,
) -> Run:
    """Puts back the newest checkpoint that verifies, or begins from zero, and returns the run.

    `model`, `optimizer`, `scheduler` and `objects` have state_dict() and load_state_dict();
    `arrays` are (nested mappings of) numpy arrays, restored in place; `extras` is a mapping of
    typed values, generators or arrays, updated in place, with the dicts and lists in it. `seed`
    seeds `run.rng` and, in a fresh start, the global generators of python, numpy and torch.
    `on_notice` is told of every notice.

    Beside a sidecar (SPOT_SOCKET is set) it blocks until the attempt is granted, and the job's
    interval holds. Without one the checkpoints are in `directory`, else $SPOT_DIR, else
    ./spot-checkpoints, one every `interval` seconds (else $SPOT_INTERVAL, else 300).

    Raises AlreadyCompleted, Stopped or Refused (all SystemExit), StateDiffers if the trainer does
    not hold what the checkpoint says (V5), TypeError for state that cannot be saved.
    """
    named = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    given = {name: value for name, value in named.items() if value is not None}
    state = TrainingState(arrays=arrays, objects={**given, **(objects or {})}, extras=extras)
    snapshots.Writer().prepare(*state.capture())  # told now, not when the first save is due
    return start(
        connect(directory=directory, interval=interval), state, seed=seed, on_notice=on_notice
    )


def start(
    backend: Backend,
    state: TrainingState,
    *,
    seed: int | None = None,
    on_notice: NoticeCallback | None = None,
) -> Run:
    """`resume` on a given backend."""
    opened = open_attempt(backend, SystemClock())
    run = take_up(opened, state, seed=seed, on_notice=on_notice)
    if opened.restore is None and seed is not None:
        randomness.seed_globals(seed, backend.rank)
    return run


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt that may train. Its checkpoint, if there is one, verified and is not loaded yet:
    `stored` are views of its bytes, `plain` is its typed state."""

    backend: Backend
    clock: Clock
    began: float
    restore: Restore | None = None
    stored: dict[str, Array] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)

    def decline(self, reason: str) -> NoReturn:
        """Gives the attempt up, for good: see `refuse`."""
        self.backend.close()
        refuse(reason)


def open_attempt(backend: Backend, clock: Clock) -> Opened:
    """Waits for the grant and for the checkpoint; whoever may not train is turned away here."""
    opened = Opened(backend, clock, clock.monotonic())
    beginning = backend.begin()
    if isinstance(beginning, Done | Halt):
        _turn_away(backend, beginning)
    if not isinstance(beginning, Restore):
        return opened
    try:
        stored, plain = snapshots.read(beginning.payload)
    except UnsupportedSchema as error:
        opened.decline(str(error))
    return replace(opened, restore=beginning, stored=stored, plain=plain)


def take_up(
    opened: Opened,
    state: TrainingState,
    *,
    seed: int | None = None,
    on_notice: NoticeCallback | None = None,
) -> Run:
    """Loads the checkpoint into the state, compares what the state holds then, begins the run.

    `seed` is that of `run.rng` alone.
    """
    backend = opened.backend
    rng = randomness.generator(seed, backend.rank)
    run = Run(backend, state, rng=rng, seed=seed, clock=opened.clock, on_notice=on_notice)
    if opened.restore is not None:
        _restore(run, opened, opened.restore, state)
    run.begin(fresh=opened.restore is None)
    return run


def connect(
    *, directory: str | os.PathLike[str] | None = None, interval: float | None = None
) -> Backend:
    """The sidecar's backend where there is a sidecar, else the local one."""
    socket = os.environ.get("SPOT_SOCKET")
    if socket:
        from spot_training.backends.sidecar import SidecarBackend  # noqa: PLC0415 - one of two

        return SidecarBackend(Path(socket), rank=int(os.environ.get("SPOT_RANK", "0")))
    from spot_training.backends.local import LocalBackend  # noqa: PLC0415 - one of two

    chosen = Path(directory or os.environ.get("SPOT_DIR") or DEFAULT_DIRECTORY).absolute()
    seconds = interval if interval is not None else _interval_from_environment()
    tell(f"no sidecar: checkpoints go to {chosen} every {seconds:g} s")
    return LocalBackend(chosen, interval=seconds)


def refuse(reason: str) -> NoReturn:
    """Ends the job: no retry can help (wrong data, impossible settings). Raises Refused (93)."""
    socket = os.environ.get("SPOT_SOCKET")
    if socket:
        from spot_training.backends.sidecar import say_word  # noqa: PLC0415 - only beside a sidecar

        say_word(Path(socket), "Refused", reason)
    leave(Refused(reason))


def _interval_from_environment() -> float:
    text = os.environ.get("SPOT_INTERVAL", str(DEFAULT_INTERVAL))
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"SPOT_INTERVAL={text!r}: give seconds, such as 60") from None


def _turn_away(backend: Backend, beginning: Done | Halt) -> NoReturn:
    backend.close()
    if isinstance(beginning, Done):
        leave(AlreadyCompleted(beginning.reason))
    leave(Stopped(beginning.word, beginning.reason))


def _restore(run: Run, opened: Opened, found: Restore, state: TrainingState) -> None:
    backend, plain = opened.backend, opened.plain
    try:
        state.restore(plain, opened.stored)
    except WrongState as error:
        opened.decline(str(error))
    opened.stored.clear()
    differs = state.differences(plain, found.tensors, found.algorithm)
    if not differs:
        run.restore(plain)
    step, seconds = found.manifest.step, opened.clock.monotonic() - opened.began
    backend.resumed(step=step, differs=differs, seconds=seconds)
    backend.release(found.payload)
    if differs:
        backend.close()
        raise StateDiffers(
            f"after loading checkpoint {found.manifest.id} the trainer holds something else "
            f"in {', '.join(differs[:5])}{' and others' if len(differs) > 5 else ''}; "
            "state_dict() and load_state_dict() must keep every value and dtype"
        )
