"""The API server as plain JSON: what a client must offer, whoever stands behind it.

`http_client.HttpClient` speaks to a real server, the tests' `FakeClient` to one in the process;
`retry.RetryingClient` and `fence.FencedClient` wrap either. Objects are dicts as the server sends
them; none is ever changed in place by this package, and callers must not do so either.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

from spot_operator.control.errors import Gone
from spot_operator.control.resource import Resource

__all__ = [
    "Client",
    "Created",
    "Json",
    "Listing",
    "Page",
    "PatchKind",
    "WatchEvent",
    "list_all",
]

Json = dict[str, Any]

PAGE_SIZE = 500
"""Objects per page of a list: what client-go asks for."""


class PatchKind(Enum):
    """How a patch's body is read; the value is its content type."""

    MERGE = "application/merge-patch+json"  # RFC 7386: null deletes, lists are replaced whole
    JSON = "application/json-patch+json"  # RFC 6902: a list of operations, `test` included
    APPLY = "application/apply-patch+yaml"  # server-side apply; needs a field manager


class Page(NamedTuple):
    """Part of a list. `more` is the token of the next part, empty on the last one."""

    items: list[Json]
    resource_version: str
    more: str


class Created(NamedTuple):
    """The object as stored, and what the server warns about (unknown fields, deprecations)."""

    object: Json
    warnings: tuple[str, ...]


class WatchEvent(NamedTuple):
    """A change; a BOOKMARK's object carries nothing but `metadata.resourceVersion`."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Json


class Client(Protocol):
    """Every call raises `errors.ApiError` or one of its children, and nothing else on purpose.

    `namespace` is left out for cluster-wide kinds; for `list` and `watch` of a namespaced kind
    its absence means all namespaces.
    """

    @property
    def date(self) -> datetime | None:
        """The server's wall clock at its last answer, in whole seconds; None: it showed none."""
        ...

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Json:
        """One object, newest. Raises NotFound."""
        ...

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = PAGE_SIZE,
        more: str = "",
    ) -> Page:
        """One page, of at most `limit` objects (0: all). Every page shows the state at the first.

        Items carry `apiVersion` and `kind` like single objects do. Raises Gone if `more` has
        expired. Use `list_all` to have them all.
        """
        ...

    def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 290,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Every change after `resource_version`, in order, with bookmarks about every minute.

        Ends without an error after `timeout_seconds`. Raises Gone when the changes asked for are
        no longer known, Unavailable when the connection breaks. Close it (`aclosing`) when done.
        """
        ...

    async def create(
        self,
        resource: Resource,
        body: Json,
        *,
        namespace: str | None = None,
        field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn",
        dry_run: bool = False,
    ) -> Created:
        """POST. The namespace is the body's unless given. Raises AlreadyExists, Invalid, …"""
        ...

    async def replace(self, resource: Resource, body: Json) -> Json:
        """PUT the whole object as named in its metadata; its status is left alone.

        With `metadata.resourceVersion` it raises Conflict when the object has changed since.
        """
        ...

    async def replace_status(
        self, resource: Resource, body: Json, *, dry_run: bool = False
    ) -> Json:
        """PUT the status alone, conditions as for `replace`; with `dry_run` nothing is stored."""
        ...

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Json | Sequence[Json],
        *,
        namespace: str | None = None,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Json:
        """PATCH. A merge may carry preconditions in its metadata: with another object's `uid` it
        raises Invalid (nothing was done), with an old `resourceVersion` Conflict.

        `force` and `field_manager` matter to APPLY alone, which also creates what is missing.
        """
        ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> Json:
        """DELETE, only if `uid` and `resource_version` still hold where given (else Conflict).

        Returns the object, now terminating, or a `Status` when it is already gone. Raises
        NotFound.
        """
        ...


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole list, as of `resource_version`."""

    items: list[Json] = field(default_factory=list)
    resource_version: str = ""


async def list_all(
    client: Client,
    resource: Resource,
    *,
    namespace: str | None = None,
    label_selector: str = "",
    field_selector: str = "",
    limit: int = PAGE_SIZE,
    trim: Callable[[Json], Json] | None = None,
    restarts: int = 2,
) -> Listing:
    """Every object of a kind, page by page; `trim` is applied as each page arrives.

    A page token can expire under a slow reader: the list then starts again, `restarts` times, and
    at last asks for everything in one page.
    """
    ask = partial(
        client.list,
        resource,
        namespace=namespace,
        label_selector=label_selector,
        field_selector=field_selector,
    )
    for _ in range(restarts):
        with suppress(Gone):
            return await _all_pages(ask, limit, trim)
    return await _all_pages(ask, 0, trim)


async def _all_pages(
    ask: Callable[..., Awaitable[Page]], limit: int, trim: Callable[[Json], Json] | None
) -> Listing:
    items: list[Json] = []
    more = ""
    while True:
        page = await ask(limit=limit, more=more)
        items += map(trim, page.items) if trim else page.items
        more = page.more
        if not more:
            return Listing(items, page.resource_version)
