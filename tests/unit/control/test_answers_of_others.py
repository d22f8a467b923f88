"""What a proxy or a load balancer says in the API server's place ends nobody and empties no cache.

Every call raises an `ApiError`, which whoever called survives.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from spot_operator.control.errors import ApiError, NotFound, Unavailable
from spot_operator.control.http_client import HttpClient
from spot_operator.control.resource import NODES, PODS
from unit.control.test_http_client import Handler, served

LATIN = "Zeitüberschreitung".encode("latin-1")


class Said(NamedTuple):
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}


ANSWERS = {
    "a page that asks to sign in": Said(b"<html>\n<p>Sign in</p>\n</html>\n"),
    "nothing": Said(),
    "no content": Said(status=204),
    "a list": Said(b"[]\n"),
    "a word": Said(b'"ok"\n'),
    "another encoding": Said(LATIN + b"\n"),
    "a redirection": Said(status=302, headers={"Location": "/login"}),
}
ERRORS = {
    "a page in another encoding": Said(LATIN, 502),
    "an encoding that nobody knows": Said(LATIN, 503, {"Content-Type": "text/html; charset=x"}),
    "a message that is none": Said(b'{"message": 5, "reason": []}', 500),
    "details that are none": Said(b'{"details": "none"}', 403),
    "a wait that is none": Said(b'{"details": {"retryAfterSeconds": "soon"}}', 429),
    "a wait in other digits": Said(b"", 429, {"Retry-After": "\xb2"}),
    "a wait until a date": Said(b"", 429, {"Retry-After": "Sun, 01 Mar 2026 12:00:00 GMT"}),
}


async def watched(client: HttpClient) -> None:
    async with aclosing(client.watch(PODS, resource_version="1")) as events:
        async for _ in events:
            raise AssertionError("an event")


CALLS: Mapping[str, Callable[[HttpClient], Awaitable[Any]]] = {
    "get": lambda client: client.get(NODES, "n"),
    "list": lambda client: client.list(NODES),
    "create": lambda client: client.create(PODS, {"metadata": {}}, namespace="ns"),
    "replace": lambda client: client.replace(NODES, {"metadata": {"name": "n"}}),
    "replace status": lambda client: client.replace_status(NODES, {"metadata": {"name": "n"}}),
    "patch": lambda client: client.patch(NODES, "n", {}),
    "delete": lambda client: client.delete(NODES, "n"),
    "watch": watched,
}


def answering(said: Said) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.path != "/login", "followed"
        return web.Response(body=said.body, status=said.status, headers=said.headers)

    return handler


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("said", [*ANSWERS, *ERRORS])
async def test_whatever_is_said_is_raised_as_an_error_of_the_api(
    tmp_path: Path, said: str, call: str
) -> None:
    answer = (ANSWERS | ERRORS)[said]
    async with served(answering(answer), tmp_path) as client:
        if call == "watch" and answer.status < 300 and not answer.body:
            await CALLS[call](client)  # A watch that ends at once is opened again.
            return
        with pytest.raises(ApiError) as raised:
            await CALLS[call](client)
    error = raised.value
    assert isinstance(error.message, str)
    assert isinstance(error.reason, str)
    assert error.retry_after is None or error.retry_after >= 0
    if answer.status == 200:
        assert isinstance(error, Unavailable), "a write may have been done"
        assert "not an answer of an API server" in error.message


NOT_THERE = {
    "default backend - 404": b"default backend - 404",
    "of a path that is not known": b"404 page not found\n",
    "a page": b"<html>Not Found</html>",
    "an object": b'{"error": "not found"}',
}
ONE = [name for name in CALLS if name not in {"list", "watch", "create"}]


@pytest.mark.parametrize("call", ONE)
@pytest.mark.parametrize("body", NOT_THERE.values(), ids=NOT_THERE)
async def test_only_the_servers_own_word_says_that_an_object_is_not_there(
    tmp_path: Path, body: bytes, call: str
) -> None:
    """Believed, it would mean that a pod has gone whose trainer still runs."""
    async with served(answering(Said(body, 404)), tmp_path) as client:
        with pytest.raises(Unavailable) as raised:
            await CALLS[call](client)
    assert raised.value.status == 404


@pytest.mark.parametrize("call", CALLS)
async def test_the_servers_own_word_is_believed(tmp_path: Path, call: str) -> None:
    status = b'{"kind": "Status", "reason": "NotFound", "message": "nodes \\"n\\" not found"}'
    async with served(answering(Said(status, 404)), tmp_path) as client:
        with pytest.raises(NotFound, match="not found"):
            await CALLS[call](client)


async def test_a_list_of_a_kind_that_is_gone_is_not_found(tmp_path: Path) -> None:
    """Of a kind whose CRD was deleted a server says no more than that."""
    async with served(answering(Said(b"404 page not found\n", 404)), tmp_path) as client:
        with pytest.raises(NotFound):
            await client.list(NODES)


@pytest.mark.parametrize("body", [b"{}", b'{"metadata": {}}', b'{"items": [], "metadata": null}'])
async def test_what_shows_no_version_is_no_empty_list(tmp_path: Path, body: bytes) -> None:
    """Believed, it would mean that every job and every node is gone."""
    async with served(answering(Said(body)), tmp_path) as client:
        with pytest.raises(Unavailable, match="resourceVersion"):
            await client.list(NODES)


@pytest.mark.parametrize("line", [b"{}\n", b'{"type": "ADDED"}\n', b'{"object": {}}\n'])
async def test_a_line_that_is_no_event_breaks_the_watch(tmp_path: Path, line: bytes) -> None:
    async with served(answering(Said(line)), tmp_path) as client:
        with pytest.raises(Unavailable, match="not a watch event"):
            await watched(client)
