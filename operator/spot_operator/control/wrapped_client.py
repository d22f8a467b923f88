"""A client around a client: all is passed on, through one gate for reads and one for writes."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal, TypeVar

from spot_operator.control.client import (
    PAGE_SIZE,
    Client,
    Created,
    Json,
    Page,
    PatchKind,
    WatchEvent,
)
from spot_operator.control.resource import Resource

__all__ = ["WrappedClient"]

T = TypeVar("T")


class WrappedClient:
    """Implements `client.Client` over `inner`; children override `_read` and `_write`.

    Each gets the call as a function that may be called any number of times. Watches pass freely.
    """

    def __init__(self, inner: Client) -> None:
        self._inner = inner

    @property
    def date(self) -> datetime | None:
        return self._inner.date

    async def _read(self, act: Callable[[], Awaitable[T]]) -> T:
        return await act()

    async def _write(self, act: Callable[[], Awaitable[T]]) -> T:
        return await act()

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Json:
        return await self._read(lambda: self._inner.get(resource, name, namespace=namespace))

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
        return await self._read(
            lambda: self._inner.list(
                resource,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                more=more,
            )
        )

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
        return self._inner.watch(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout_seconds=timeout_seconds,
        )

    async def create(
        self,
        resource: Resource,
        body: Json,
        *,
        namespace: str | None = None,
        field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn",
        dry_run: bool = False,
    ) -> Created:
        return await self._write(
            lambda: self._inner.create(
                resource,
                body,
                namespace=namespace,
                field_validation=field_validation,
                dry_run=dry_run,
            )
        )

    async def replace(self, resource: Resource, body: Json) -> Json:
        return await self._write(lambda: self._inner.replace(resource, body))

    async def replace_status(
        self, resource: Resource, body: Json, *, dry_run: bool = False
    ) -> Json:
        return await self._write(
            lambda: self._inner.replace_status(resource, body, dry_run=dry_run)
        )

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
        return await self._write(
            lambda: self._inner.patch(
                resource,
                name,
                body,
                namespace=namespace,
                kind=kind,
                subresource=subresource,
                field_manager=field_manager,
                force=force,
            )
        )

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
        return await self._write(
            lambda: self._inner.delete(
                resource,
                name,
                namespace=namespace,
                uid=uid,
                resource_version=resource_version,
                grace_seconds=grace_seconds,
                propagation=propagation,
            )
        )
