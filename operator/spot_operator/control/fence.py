"""The fence around writing: a process that does not lead changes nothing.

The check and the request are not one step: a process paused between the two, or a request held up
on its way, still writes late. What makes that harmless is what each write carries: a
resourceVersion, a uid precondition, a name that can exist once. The fence keeps it rare.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from spot_operator.control.client import Client
from spot_operator.control.errors import NotLeader
from spot_operator.control.wrapped_client import WrappedClient

__all__ = ["FencedClient"]

T = TypeVar("T")


class FencedClient(WrappedClient):
    """Asks `is_leader` before every write; if it says no, raises NotLeader and writes nothing."""

    def __init__(self, inner: Client, is_leader: Callable[[], bool]) -> None:
        super().__init__(inner)
        self._is_leader = is_leader

    async def _write(self, act: Callable[[], Awaitable[T]]) -> T:
        if not self._is_leader():
            raise NotLeader("this process does not lead: nothing was written")
        return await act()
