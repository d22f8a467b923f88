"""The client over real sockets, against a server of a few lines on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from spot_operator.control.client import Json, PatchKind
from spot_operator.control.clock import SystemClock
from spot_operator.control.credentials import load
from spot_operator.control.errors import (
    AlreadyExists,
    Forbidden,
    Gone,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from spot_operator.control.http_client import HttpClient
from spot_operator.control.resource import NODES, PODS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(
    handler: Handler, tmp_path: Path, *, request_seconds: float = 5.0
) -> AsyncIterator[HttpClient]:
    """A client of a server on which every request goes to `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    kubeconfig = write_kubeconfig(tmp_path, f"http://{host}:{port}")
    connection = await load(SystemClock(), kubeconfig=str(kubeconfig))
    try:
        async with HttpClient(
            connection, user_agent="tests/1", request_seconds=request_seconds
        ) as client:
            yield client
    finally:
        await runner.cleanup()


def write_kubeconfig(folder: Path, server: str, token: str = "t0") -> Path:  # noqa: S107
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": token}}],
            }
        )
    )
    return path


def answering(body: Json, status: int = 200, **headers: str) -> Handler:
    """A server that always says the same."""

    async def handler(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return handler


def streaming(*chunks: bytes, then: Callable[[web.Request], None] | None = None) -> Handler:
    """A server that sends these pieces, one after the other, and ends or does `then`."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        if then:
            then(request)
        return response

    return handler


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Sun, 01 Mar 2026 12:00:00 GMT", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("Sun, 01 Mar 2026 12:00:00 -0000", None),
        ("yesterday", None),
    ],
)
@pytest.mark.parametrize("status", [200, 403])
async def test_every_answer_shows_the_servers_clock(
    tmp_path: Path, date: str, expected: datetime | None, status: int
) -> None:
    async with served(answering({"metadata": {}}, status, Date=date), tmp_path) as client:
        assert client.date is None
        with suppress(Forbidden):
            await client.get(NODES, "n")
        assert client.date == expected


async def test_a_date_of_an_earlier_answer_is_not_the_time_of_a_later_one(tmp_path: Path) -> None:
    """A replica may stand by for hours between the two."""
    dates = iter(["Sun, 01 Mar 2026 12:00:00 GMT", "yesterday"])

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {}}, headers={"Date": next(dates)})

    async with served(handler, tmp_path) as client:
        await client.get(NODES, "n")
        assert client.date is not None
        await client.get(NODES, "n")
        assert client.date is None


async def test_what_is_sent_is_what_the_server_expects(tmp_path: Path) -> None:
    seen: list[tuple[str, str, dict[str, str], str, Json]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else {}
        kind = request.headers.get("Content-Type", "")
        seen.append((request.method, request.path, dict(request.query), kind, body))
        return web.json_response({"metadata": {"resourceVersion": "9"}})

    pod: Json = {"metadata": {"name": "p", "namespace": "ns"}}
    async with served(handler, tmp_path) as client:
        await client.get(PODS, "p", namespace="ns")
        await client.list(PODS, label_selector="a in (b,c)", limit=7, more="token")
        await client.create(PODS, pod, dry_run=True)
        await client.replace(PODS, pod)
        await client.replace_status(PODS, pod)
        await client.patch(
            PODS, "p", [{"op": "test"}], namespace="ns", kind=PatchKind.JSON, subresource="status"
        )
        await client.patch(NODES, "n", {}, kind=PatchKind.APPLY, field_manager="me", force=True)
        await client.delete(PODS, "p", namespace="ns", uid="u", grace_seconds=0)
        await client.delete(NODES, "n", resource_version="7", propagation="Orphan")
    plain, one = "application/json", "/api/v1/namespaces/ns/pods/p"
    assert seen == [
        ("GET", one, {}, "", {}),
        (
            "GET",
            "/api/v1/pods",
            {"labelSelector": "a in (b,c)", "limit": "7", "continue": "token"},
            "",
            {},
        ),
        (
            "POST",
            "/api/v1/namespaces/ns/pods",
            {"fieldValidation": "Warn", "dryRun": "All"},
            plain,
            pod,
        ),
        ("PUT", one, {}, plain, pod),
        ("PUT", one + "/status", {}, plain, pod),
        ("PATCH", one + "/status", {}, "application/json-patch+json", [{"op": "test"}]),
        (
            "PATCH",
            "/api/v1/nodes/n",
            {"fieldManager": "me", "force": "true"},
            "application/apply-patch+yaml",
            {},
        ),
        ("DELETE", one, {}, plain, {"preconditions": {"uid": "u"}, "gracePeriodSeconds": 0}),
        (
            "DELETE",
            "/api/v1/nodes/n",
            {},
            plain,
            {"preconditions": {"resourceVersion": "7"}, "propagationPolicy": "Orphan"},
        ),
    ]


async def test_we_say_who_we_are(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers["Authorization"], request.headers["User-Agent"]))
        return web.json_response({})

    async with served(handler, tmp_path) as client:
        await client.get(NODES, "n")
    assert seen == [("Bearer t0", "tests/1")]


async def test_warnings_come_with_what_was_created(tmp_path: Path) -> None:
    warning = r'299 - "unknown field \"spec.x\""'
    handler = answering({"metadata": {"name": "p"}}, Warning=warning)
    async with served(handler, tmp_path) as client:
        made = await client.create(PODS, {"metadata": {"name": "p"}}, namespace="ns")
    assert made.object == {"metadata": {"name": "p"}}
    assert made.warnings == ('unknown field "spec.x"',)


async def test_a_refusal_is_raised_as_what_it_is(tmp_path: Path) -> None:
    status = {"reason": "AlreadyExists", "message": 'pods "p" already exists'}
    async with served(answering(status, 409), tmp_path) as client:
        with pytest.raises(AlreadyExists, match="already exists"):
            await client.create(PODS, {}, namespace="ns")


async def test_being_put_off_says_for_how_long(tmp_path: Path) -> None:
    async with served(answering({}, 429, Retry_After="3"), tmp_path) as client:
        with pytest.raises(TooManyRequests) as refusal:
            await client.get(NODES, "n")
    assert refusal.value.retry_after == 3


async def test_an_answer_that_is_not_from_kubernetes_is_still_understood(tmp_path: Path) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>Bad Gateway</html>")

    async with served(handler, tmp_path) as client:
        with pytest.raises(Unavailable, match="Bad Gateway"):
            await client.get(NODES, "n")


async def test_no_answer_is_unavailable_and_says_what_happened(tmp_path: Path) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()
        return web.Response()

    async with served(hang_up, tmp_path) as client:
        with pytest.raises(Unavailable, match="GET /api/v1/nodes/n") as refusal:
            await client.get(NODES, "n")
    assert refusal.value.status == 0


async def test_a_server_that_does_not_answer_in_time_is_unavailable(tmp_path: Path) -> None:
    waiting = asyncio.Event()

    async def handler(_: web.Request) -> web.StreamResponse:
        await waiting.wait()
        return web.Response()

    async with served(handler, tmp_path, request_seconds=0.05) as client:
        with pytest.raises(Unavailable, match="TimeoutError"):
            await client.get(NODES, "n")
        waiting.set()


async def test_after_a_refusal_the_newest_credentials_are_used(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        good = request.headers["Authorization"] == "Bearer t1"
        return web.json_response({}, status=200 if good else 401)

    async with served(handler, tmp_path) as client:
        write_kubeconfig(tmp_path, client._connection.host, token="t1")
        with pytest.raises(Unauthorized):
            await client.get(NODES, "n")
        assert await client.get(NODES, "n") == {}


def _line(kind: str, version: str, **more: str) -> bytes:
    item = {"metadata": {"resourceVersion": version, **more}}
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


async def _watched(client: HttpClient) -> list[tuple[str, str]]:
    async with aclosing(client.watch(PODS, resource_version="1")) as events:
        return [(e.type, e.object["metadata"]["resourceVersion"]) async for e in events]


async def test_events_arrive_whole_however_they_are_cut(tmp_path: Path) -> None:
    whole = _line("ADDED", "2") + _line("MODIFIED", "3", big="x" * 300_000) + _line("BOOKMARK", "4")
    pieces = [whole[at : at + 7001] for at in range(0, len(whole), 7001)]
    async with served(streaming(*pieces), tmp_path) as client:
        assert await _watched(client) == [("ADDED", "2"), ("MODIFIED", "3"), ("BOOKMARK", "4")]


async def test_a_watch_asks_for_bookmarks_from_its_position(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.query))
        return web.Response()

    async with served(handler, tmp_path) as client:
        watch = client.watch(PODS, resource_version="7", label_selector="a", timeout_seconds=9)
        async with aclosing(watch) as events:
            assert [event async for event in events] == []
    assert seen == [
        {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "7",
            "timeoutSeconds": "9",
            "labelSelector": "a",
        }
    ]


async def test_an_error_in_the_stream_is_raised(tmp_path: Path) -> None:
    status = {"code": 410, "reason": "Expired", "message": "too old resource version"}
    error = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    async with served(streaming(_line("ADDED", "2"), error), tmp_path) as client:
        with pytest.raises(Gone, match="too old"):
            await _watched(client)


async def test_a_stream_that_breaks_is_unavailable_and_its_half_line_no_event(
    tmp_path: Path,
) -> None:
    def break_off(request: web.Request) -> None:
        assert request.transport
        request.transport.abort()

    handler = streaming(_line("ADDED", "2"), b'{"type": "ADD', then=break_off)
    seen: list[str] = []
    async with served(handler, tmp_path) as client:
        with pytest.raises(Unavailable):
            async with aclosing(client.watch(PODS, resource_version="1")) as events:
                seen.extend([event.type async for event in events])
    assert set(seen) <= {"ADDED"}


async def test_a_watch_can_be_left_at_any_time(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(_line("ADDED", "2"))
        try:
            while True:
                await response.write(_line("BOOKMARK", "3"))
                await asyncio.sleep(0.01)
        except ConnectionError:
            left.set()
            raise

    async with served(handler, tmp_path) as client:
        async with aclosing(client.watch(PODS, resource_version="1")) as events:
            async for event in events:
                assert event.type == "ADDED"
                break
        await asyncio.wait_for(left.wait(), 5)
