"""The HTTPS server that sidecars report to: one route, keep-alive, a bounded body."""

import ssl
from typing import Final, Protocol

from aiohttp import web

from spot_operator.reports.receiver import Answer
from spot_operator.reports.schema import MAX_REPORT_BYTES

__all__ = ["PATH", "ReportsServer", "reports_app"]

PATH: Final = "/v1/reports"
KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than four report intervals: a connection lives as long as its pod."""
CLOSE_SECONDS: Final = 1.0
"""What a request under way gets when the server stops; the sidecar sends it again."""


class Receives(Protocol):
    """Whoever takes reports."""

    async def receive(self, token: str, body: bytes) -> Answer:
        """Answer one POST."""
        ...


def reports_app(receiver: Receives) -> web.Application:
    """The application; a malformed request never reaches the receiver."""

    async def post(request: web.Request) -> web.Response:
        body = await request.content.read(MAX_REPORT_BYTES + 1)
        while len(body) <= MAX_REPORT_BYTES and not request.content.at_eof():
            body += await request.content.read(MAX_REPORT_BYTES + 1 - len(body))
        answer = await receiver.receive(_bearer(request), body)
        response = web.json_response(answer.body, status=answer.status)
        if answer.status in {413, 503}:
            # Unread data, or another replica to go to: either way this connection is of no use.
            response.force_close()
        return response

    app = web.Application(client_max_size=MAX_REPORT_BYTES)
    app.router.add_post(PATH, post)
    return app


class ReportsServer:
    """Listens on `port` with the certificate in `context`, which may be renewed in place."""

    def __init__(
        self, receiver: Receives, context: ssl.SSLContext, *, host: str, port: int
    ) -> None:
        self._runner = web.AppRunner(
            reports_app(receiver),
            handle_signals=False,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=CLOSE_SECONDS,
        )
        self._context = context
        self._host = host
        self._port = port

    async def start(self) -> int:
        """Listen; returns the port, which the system chose if 0 was asked for."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._context)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection, at the latest after a second."""
        await self._runner.cleanup()


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
