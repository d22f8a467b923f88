"""The real API server over aiohttp: one request per call, no retries (see `retry`), plain JSON.

Bare aiohttp costs a sixth of the generated client's CPU per call and a tenth per watch event.
"""

import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp

from spot_operator.control.client import PAGE_SIZE, Created, Json, Page, PatchKind, WatchEvent
from spot_operator.control.credentials import Connection, CredentialsError
from spot_operator.control.errors import Unauthorized, Unavailable, from_status
from spot_operator.control.resource import Resource

__all__ = ["HttpClient"]

log = logging.getLogger(__name__)

_WARNING = re.compile(r'^\s*299\s+\S+\s+"(?P<text>(?:[^"\\]|\\.)*)"')
_NETWORK = (aiohttp.ClientError, TimeoutError, OSError)


class HttpClient:
    """Implements `client.Client`. Use it as a context manager, or `close` it.

    `request_seconds` bounds every call but watches, connecting included; a watch must only
    connect in that time. `user_agent` is what the server's audit log shows.
    """

    def __init__(
        self, connection: Connection, *, user_agent: str, request_seconds: float = 30.0
    ) -> None:
        self._connection = connection
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}
        self._seconds = request_seconds
        self._session: aiohttp.ClientSession | None = None
        self._date: datetime | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def date(self) -> datetime | None:
        return self._date

    async def close(self) -> None:
        """Drop every connection."""
        if self._session:
            await self._session.close()
            self._session = None

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Json:
        return await self._json("GET", resource.path(namespace, name), one=True)

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
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit or ""),
            **{"continue": more},
        )
        path = resource.path(namespace)
        answer = await self._json("GET", path, query=query)
        meta = answer.get("metadata") or {}
        if not meta.get("resourceVersion"):
            # Taken for a list, it would empty the caches.
            raise _no_answer("GET", path, "a list without a resourceVersion")
        # The server leaves the type out of a typed list's items; every reader wants it there.
        named = {"apiVersion": resource.api_version, "kind": resource.kind}
        items = [{**named, **item} for item in answer.get("items") or ()]
        return Page(items, meta["resourceVersion"], meta.get("continue") or "")

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
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            timeoutSeconds=str(timeout_seconds),
            labelSelector=label_selector,
            fieldSelector=field_selector,
        )
        forever = aiohttp.ClientTimeout(total=None, sock_connect=self._seconds)
        path = resource.path(namespace)
        async with self._answer("GET", path, query=query, limits=forever) as response:
            try:
                async for line in _lines(response):
                    yield _event(_object(line, "GET", path), path)
            finally:
                _hang_up(response)

    async def create(
        self,
        resource: Resource,
        body: Json,
        *,
        namespace: str | None = None,
        field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn",
        dry_run: bool = False,
    ) -> Created:
        home = namespace or body.get("metadata", {}).get("namespace")
        query = _query(fieldValidation=field_validation, dryRun="All" if dry_run else "")
        path = resource.path(home)
        async with self._answer("POST", path, query=query, body=body) as response:
            made = _object(await response.read(), "POST", path)
            return Created(made, _warnings(response))

    async def replace(self, resource: Resource, body: Json) -> Json:
        return await self._put(resource, body, "")

    async def replace_status(
        self, resource: Resource, body: Json, *, dry_run: bool = False
    ) -> Json:
        return await self._put(resource, body, "status", dry_run=dry_run)

    async def _put(
        self, resource: Resource, body: Json, subresource: str, *, dry_run: bool = False
    ) -> Json:
        meta = body["metadata"]
        path = resource.path(meta.get("namespace"), meta["name"], subresource)
        query = _query(dryRun="All" if dry_run else "")
        return await self._json("PUT", path, query=query, body=body, one=True)

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
        query = _query(fieldManager=field_manager, force="true" if force else "")
        path = resource.path(namespace, name, subresource)
        return await self._json(
            "PATCH", path, query=query, body=body, content_type=kind.value, one=True
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
        conditions = _given(uid=uid, resourceVersion=resource_version)
        options = _given(
            preconditions=conditions or None,
            gracePeriodSeconds=grace_seconds,
            propagationPolicy=propagation,
        )
        return await self._json("DELETE", resource.path(namespace, name), body=options, one=True)

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Json | Sequence[Json] | None = None,
        content_type: str = "application/json",
        one: bool = False,
    ) -> Json:
        async with self._answer(
            method, path, query=query, body=body, content_type=content_type, one=one
        ) as response:
            for warning in _warnings(response):
                log.warning("%s %s: %s", method, path, warning)
            return _object(await response.read(), method, path)

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Json | Sequence[Json] | None = None,
        content_type: str = "application/json",
        limits: aiohttp.ClientTimeout | None = None,
        one: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer; anything else is raised as one of `errors`. `one`: of a named object."""
        try:
            headers = self._headers | await self._connection.headers()
            async with self._opened().request(
                method,
                self._connection.host + path,
                params=query,
                data=None if body is None else json.dumps(body, separators=(",", ":")),
                headers=headers if body is None else headers | {"Content-Type": content_type},
                timeout=limits or aiohttp.ClientTimeout(total=self._seconds),
                ssl=self._connection.tls or True,
                server_hostname=self._connection.tls_server_name,
                proxy=self._connection.proxy,
                # No API server redirects; a proxy would have a POST become a GET elsewhere.
                allow_redirects=False,
            ) as response:
                self._date = _date(response)
                await self._raise_unless_good(response, one=one)
                yield response
        except CredentialsError as error:
            raise Unauthorized(str(error)) from error
        except _NETWORK as error:
            what = f"{type(error).__name__}: {error}".rstrip(": ")
            raise Unavailable(f"{method} {path}: {what}", status=0) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No cookies: a server behind a load balancer must not be able to pin us to one.
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def _raise_unless_good(self, response: aiohttp.ClientResponse, *, one: bool) -> None:
        if response.status < 300:
            return
        # Whoever answers in the server's place may do so in any encoding.
        status = _as_status(await response.text(errors="replace"))
        if one and response.status == 404 and "reason" not in status:
            # Of an object that is not there the server says so in a Status. A page of a proxy, or
            # of a server that does not know the path yet, proves nothing about the object.
            what = status.get("message", "404")
            raise _no_answer(response.method, response.url.path, what, status=404)
        error = from_status(response.status, status, retry_after=_retry_after(response))
        if isinstance(error, Unauthorized):
            # The token may have been rotated or revoked: the next call comes with the newest.
            await self._connection.renew()
        raise error


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Whole lines, however long: `StreamReader.readline` gives up at 64 KiB."""
    parts: list[bytes] = []
    async for chunk in response.content.iter_any():
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            yield b"".join([*parts, line])
            parts.clear()
        if rest:
            parts.append(rest)


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """End a stream that has not ended: a clean TLS close would wait for a silent server."""
    if response.connection and response.connection.transport:
        response.connection.transport.abort()


def _event(raw: Json, path: str) -> WatchEvent:
    changed = raw.get("object")
    if "type" not in raw or not isinstance(changed, dict):
        raise _no_answer("GET", path, "a line that is not a watch event")
    if raw["type"] == "ERROR":
        raise from_status(changed.get("code", 500), changed)
    return WatchEvent(raw["type"], changed)


def _object(text: bytes, method: str, path: str) -> Json:
    """The object in a good answer.

    Raises:
        Unavailable: it has none: something else on the way has answered, whatever it did before.
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _no_answer(method, path, text[:200].decode(errors="replace").strip() or "nothing")
    return found


def _no_answer(method: str, path: str, what: str, *, status: int = 0) -> Unavailable:
    return Unavailable(
        f"{method} {path}: this is not an answer of an API server; perhaps a proxy or load "
        f"balancer before it speaks in its place: {what}",
        status=status,
    )


def _as_status(text: str) -> Json:
    """The `Status` in a refusal; proxies and dying servers send plain text, or other objects."""
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        return {"message": text.strip()[:500]}
    types = {"message": str, "reason": str, "details": dict}
    return {
        name: status[name] for name, kind in types.items() if isinstance(status.get(name), kind)
    }


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


def _date(response: aiohttp.ClientResponse) -> datetime | None:
    """The time in the `Date` header; None without one that can be read."""
    try:
        found = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _warnings(response: aiohttp.ClientResponse) -> tuple[str, ...]:
    """Texts of `Warning: 299 - "text"` headers, RFC 7234 section 5.5."""
    found = map(_WARNING.match, response.headers.getall("Warning", []))
    return tuple(re.sub(r"\\(.)", r"\1", each["text"]) for each in found if each)


def _query(**parameters: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}


def _given(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}
