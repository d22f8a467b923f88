"""Patience with the API server, as a layer over any client.

- Reads (`get`, `list`) are tried again on 429, 5xx and broken connections, with jitter.
- Writes are tried again on 429 with a Retry-After alone: the server says that it did nothing, and
  when to come back. Every other failed write is the caller's to judge: it may have been done.
- Both are tried once more when our credentials were refused: the client has since renewed them.
- A watch is never reopened here: whoever reads it must know where it stopped.

It belongs *above* `fence.FencedClient`, so that each try of a write is fenced again.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from spot_operator.control.backoff import Backoff
from spot_operator.control.client import Client
from spot_operator.control.clock import Clock, Entropy
from spot_operator.control.errors import ApiError, TooManyRequests, Unauthorized, Unavailable
from spot_operator.control.wrapped_client import WrappedClient

__all__ = ["RetryingClient"]

T = TypeVar("T")


class RetryingClient(WrappedClient):
    """A patient client over `inner`.

    `tries` bounds a call's attempts, `longest_wait` all waits of a call together: a server that
    wants more is reported instead. One that is overloaded asks for ever longer waits (Priority
    and Fairness: up to 32 s), and whoever called has other calls to make.
    """

    def __init__(
        self,
        inner: Client,
        clock: Clock,
        entropy: Entropy,
        *,
        tries: int = 4,
        longest_wait: float = 30.0,
    ) -> None:
        super().__init__(inner)
        self._clock = clock
        self._backoff = Backoff(entropy, initial=0.25, cap=5.0)
        self._tries = tries
        self._longest_wait = longest_wait

    async def _read(self, act: Callable[[], Awaitable[T]]) -> T:
        return await self._persist(act, self._wait_before_reading)

    async def _write(self, act: Callable[[], Awaitable[T]]) -> T:
        return await self._persist(act, self._wait_before_writing)

    async def _persist(
        self, act: Callable[[], Awaitable[T]], wait_for: Callable[[ApiError, int], float | None]
    ) -> T:
        waited = 0.0
        for failures in range(1, self._tries):
            try:
                return await act()
            except ApiError as error:
                wait = wait_for(error, failures)
                if wait is None or waited + wait > self._longest_wait:
                    raise
            await self._clock.sleep(wait)
            waited += wait
        return await act()

    def _wait_before_reading(self, error: ApiError, failures: int) -> float | None:
        """Seconds until the next try; None: there is none."""
        if isinstance(error, TooManyRequests | Unavailable):
            return max(error.retry_after or 0.0, self._backoff.delay(failures))
        return _wait_for_credentials(error, failures)

    def _wait_before_writing(self, error: ApiError, failures: int) -> float | None:
        if isinstance(error, TooManyRequests) and error.retry_after is not None:
            # Never less than asked for; a little more, so that not all come back together.
            return error.retry_after + self._backoff.delay(1)
        return _wait_for_credentials(error, failures)


def _wait_for_credentials(error: ApiError, failures: int) -> float | None:
    return 0.0 if isinstance(error, Unauthorized) and failures == 1 else None
