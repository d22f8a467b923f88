"""A client that counts its writes, by verb, kind and result."""

from collections.abc import Awaitable, Sequence
from typing import Any, Final, Literal, TypeVar

from spot_operator.control.client import Client, Created, Json, PatchKind
from spot_operator.control.errors import ApiError
from spot_operator.control.resource import Resource
from spot_operator.control.wrapped_client import WrappedClient
from spot_operator.observability.metrics import Metrics

__all__ = ["CountedClient"]

T = TypeVar("T")

REASONS: Final = frozenset(
    {
        "AlreadyExists",
        "BadRequest",
        "Conflict",
        "Expired",
        "Forbidden",
        "Gone",
        "InternalError",
        "Invalid",
        "MethodNotAllowed",
        "NotAcceptable",
        "NotFound",
        "RequestEntityTooLarge",
        "ServerTimeout",
        "ServiceUnavailable",
        "StoreReadError",
        "Timeout",
        "TooManyRequests",
        "Unauthorized",
        "UnsupportedMediaType",
    }
)
"""The API server's own (apimachinery pkg/apis/meta/v1/types.go). A webhook may write any text
there, with a pod's name in it, and each would be a time series for ever."""


class CountedClient(WrappedClient):
    """Passes everything on. It belongs right above the network, where each try counts."""

    def __init__(self, inner: Client, metrics: Metrics) -> None:
        super().__init__(inner)
        self._metrics = metrics

    async def create(
        self,
        resource: Resource,
        body: Json,
        *,
        namespace: str | None = None,
        field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn",
        dry_run: bool = False,
    ) -> Created:
        act = super().create(
            resource, body, namespace=namespace, field_validation=field_validation, dry_run=dry_run
        )
        return await self._counted("create", resource, act)

    async def replace(self, resource: Resource, body: Json) -> Json:
        return await self._counted("replace", resource, super().replace(resource, body))

    async def replace_status(
        self, resource: Resource, body: Json, *, dry_run: bool = False
    ) -> Json:
        act = super().replace_status(resource, body, dry_run=dry_run)
        # A dry run writes nothing.
        return await (act if dry_run else self._counted("replace_status", resource, act))

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
        act = super().patch(
            resource,
            name,
            body,
            namespace=namespace,
            kind=kind,
            subresource=subresource,
            field_manager=field_manager,
            force=force,
        )
        return await self._counted("patch", resource, act)

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
    ) -> Any:
        act = super().delete(
            resource,
            name,
            namespace=namespace,
            uid=uid,
            resource_version=resource_version,
            grace_seconds=grace_seconds,
            propagation=propagation,
        )
        return await self._counted("delete", resource, act)

    async def _counted(self, verb: str, resource: Resource, act: Awaitable[T]) -> T:
        result = "OK"
        try:
            return await act
        except ApiError as error:
            result = error.reason if error.reason in REASONS else type(error).__name__
            raise
        finally:
            self._metrics.writes.labels(verb, resource.plural, result).inc()
