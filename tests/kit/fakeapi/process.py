"""One program in the simulated cluster: its clock, client and tasks; killed and paused at will.

    replica = Process("operator-0", server)
    replica.spawn(run_operator(replica.client, replica.clock, replica.entropy))
    replica.pause()      # SIGSTOP: nothing of it moves, the world does
    replica.resume()     # SIGCONT: it goes on as if no time had passed, with the clocks as they are
    await replica.kill() # SIGKILL: no `finally` of it reaches the server any more

A pause takes hold where the program waits for time or for the server. Between two such points it
cannot be stopped, as no program can be within one instruction.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from kit.clock import FakeClock, FakeEntropy
from kit.fakeapi.client import FakeClient
from kit.fakeapi.faults import Call
from kit.fakeapi.server import FakeApiServer
from spot_operator.control.client import WatchEvent
from spot_operator.control.resource import Resource

__all__ = ["Process"]

T = TypeVar("T")


class Process:
    """`clock`, `entropy`, `client` are its program's; `rate` and `skew`: how its clock is wrong."""

    def __init__(
        self, name: str, server: FakeApiServer, *, skew: float = 0.0, rate: float = 1.0
    ) -> None:
        self.name = name
        self._running = asyncio.Event()
        self._running.set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.clock = _PausingClock(self._running, skew=skew, rate=rate)
        self.entropy = FakeEntropy(name)
        self.client = _PausingClient(self._running, server, name, self.clock)

    def spawn(self, program: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a task that dies with the process."""
        task = asyncio.get_running_loop().create_task(program, name=f"{self.name}-task")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def pause(self) -> None:
        """Stop everything at its next wait."""
        self._running.clear()

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return not self._running.is_set()

    def die(self) -> None:
        """Be dead from this moment: nothing more reaches the server, every task is cancelled.

        For faults, which run inside a task of the process itself.
        """
        self.client.dead = True
        self._running.set()
        for task in list(self._tasks):
            task.cancel()

    async def kill(self) -> None:
        """`die`, and wait until its tasks are gone. Call it from outside the process."""
        self.die()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _PausingClock(FakeClock):
    def __init__(self, running: asyncio.Event, *, skew: float, rate: float) -> None:
        super().__init__(skew=skew, rate=rate)
        self._running = running

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self._running.wait()


class _PausingClient(FakeClient):
    def __init__(
        self, running: asyncio.Event, server: FakeApiServer, name: str, clock: FakeClock
    ) -> None:
        super().__init__(server, name=name, clock=clock)
        self._running = running

    async def _do(self, call: Call, act: Callable[[], T]) -> T:
        await asyncio.sleep(0)
        await self._running.wait()
        result = await super()._do(call, act)
        await self._running.wait()
        self._stop_if_dead()
        return result

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 290,
    ) -> AsyncGenerator[WatchEvent, None]:
        events = super().watch(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout_seconds=timeout_seconds,
        )
        try:
            async for event in events:
                await self._running.wait()
                yield event
        finally:
            await events.aclose()
