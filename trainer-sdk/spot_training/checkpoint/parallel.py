"""Several requests at once: the parts of one transfer, or many small documents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from spot_training.checkpoint.store import Cancel, Cancelled

Item = TypeVar("Item")
Result = TypeVar("Result")
_POLL = 0.1
_AT_ONCE = 8
"""As many connections as a store's client keeps."""


def for_each(
    items: Iterable[Item], action: Callable[[Item], Result], *, at_once: int = _AT_ONCE
) -> list[Result]:
    """What `action` returns for each item, in their order, several at once.

    Raises what the first of them raised, once all that were begun have ended.
    """
    wanted = list(items)
    if len(wanted) <= 1:
        return [action(item) for item in wanted]
    with ThreadPoolExecutor(min(at_once, len(wanted)), thread_name_prefix="spot-each") as pool:
        return list(pool.map(action, wanted))


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
    """Raises what went wrong first; that others gave up because of it is not a cause."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    causes = [error for error in errors if not isinstance(error, Cancelled)]
    for error in causes or errors:
        raise error
