"""Runs the parts of one transfer in threads: they stop together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from spot_training.checkpoint.store import Cancel, Cancelled

Result = TypeVar("Result")
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Group:
    """The parts of one transfer: they stop together when one fails or the caller gives up."""

    caller: Cancel | None
    failed: threading.Event

    def is_set(self) -> bool:
        return self.failed.is_set() or (self.caller is not None and self.caller.is_set())

    def wait(self, timeout: float) -> bool:
        while timeout > 0 and not self.is_set():
            self.failed.wait(min(_POLL, timeout))
            timeout -= _POLL
        return self.is_set()


def together(pool: Executor, group: Group, jobs: Iterable[Callable[[], Result]]) -> list[Result]:
    """Runs the jobs in the pool; after the first failure the others give up.

    Raises what went wrong first, once all have ended.
    """
    futures = [pool.submit(_run, group, job) for job in jobs]
    try:
        wait(futures)
    except BaseException:
        group.failed.set()
        wait(futures)
        raise
    _raise_first(futures)
    return [future.result() for future in futures]


def _run(group: Group, job: Callable[[], Result]) -> Result:
    """The thread that failed says so itself, before it takes up another job."""
    try:
        return job()
    except BaseException:
        group.failed.set()
        raise


def _raise_first(futures: list[Future[Any]]) -> None:
    """Raises what went wrong first; that others gave up for it is no cause."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    causes = [error for error in errors if not isinstance(error, Cancelled)]
    for error in causes or errors:
        raise error
