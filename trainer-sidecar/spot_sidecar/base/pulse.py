"""One asyncio primitive: wake everybody who waits for a change.

A waiter remembers the beat it last saw and asks for one beyond it, so that a change between its
check and its wait is never lost. Beats may merge: the waiter checks again each time.
Only for one event loop; not for threads.
"""

import asyncio

__all__ = ["Pulse"]


class Pulse:
    """A counter that can be waited on."""

    def __init__(self) -> None:
        self._beat = 0
        self._next: asyncio.Event = asyncio.Event()

    @property
    def beat(self) -> int:
        """How often `ring` was called."""
        return self._beat

    def ring(self) -> None:
        """Count one change and wake every waiter."""
        self._beat += 1
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    async def beyond(self, beat: int, seconds: float | None = None) -> bool:
        """Wait until `self.beat > beat`, at most `seconds`; say whether it is."""
        try:
            async with asyncio.timeout(seconds):
                while self._beat <= beat:
                    await self._next.wait()
        except TimeoutError:
            return self._beat > beat
        return True
