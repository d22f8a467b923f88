"""An API server that has just begun refuses good tokens for some seconds: nothing ends of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kit.ports import free_port
from spot_operator import shell
from spot_operator.settings import Settings
from spot_operator.shell import serve

JOBS = "/apis/spottraining.dev/v1alpha1/spottrainingjobs"
KIND = {"name": "spottrainingjobs", "singularName": "spottrainingjob", "kind": "SpotTrainingJob"}
NAMESPACES = {"name": "namespaces", "singularName": "namespace", "kind": "Namespace"}
ANSWERS: dict[str, dict[str, Any]] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [{**NAMESPACES, "verbs": ["list", "watch"], "namespaced": False}]},
    "/apis": {
        "groups": [
            {
                "name": "spottraining.dev",
                "versions": [{"version": "v1alpha1"}],
                "preferredVersion": {"version": "v1alpha1"},
            }
        ]
    },
    "/apis/spottraining.dev/v1alpha1": {
        "resources": [{**KIND, "verbs": ["get", "list", "watch", "patch"], "namespaced": True}]
    },
}


class Server:
    """What the shell asks an API server for; all else is an error that passes."""

    def __init__(self) -> None:
        self.refusals = 0
        """So many questions about jobs are answered by 401 from now on."""
        self.watches = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in ANSWERS:
            return web.json_response(ANSWERS[request.path])
        if request.path != JOBS or "kopf" not in request.headers.get("User-Agent", ""):
            return web.json_response({"kind": "Status", "code": 500}, status=500)
        if self.refusals:
            self.refusals -= 1
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        self.watches += 1
        stream = web.StreamResponse()
        await stream.prepare(request)
        await asyncio.sleep(0.2)
        return stream

    async def refused(self) -> None:
        """Return when all refusals were given."""
        await self.until(lambda: not self.refusals)

    async def watched(self) -> None:
        """Return when another watch has been answered."""
        before = self.watches
        await self.until(lambda: self.watches > before)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110 - the server changes it in answers to others
                await asyncio.sleep(0.05)


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[str]:
    app, port = web.Application(), free_port()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def kubeconfig(folder: Path, host: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": host}}],
                "users": [{"name": "u", "user": {"token": "the-only-one"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return path


async def test_a_token_that_is_refused_for_a_while_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    async with listening(server) as host:
        path = kubeconfig(tmp_path, host)
        monkeypatch.setenv("KUBECONFIG", str(path))
        # Of this process, which is not the operator's alone.
        monkeypatch.setattr(shell, "EXIT_SECONDS", 3600.0)
        settings = Settings(
            namespace="spot",
            pod_name="operator-1",
            pod_ip="127.0.0.1",
            sidecar_image="sidecar:1",
            reports_port=free_port(),
            metrics_port=free_port(),
            probe_port=free_port(),
            kubeconfig=str(path),
        )
        process = asyncio.create_task(serve(settings))
        await server.watched()
        server.refusals = 2
        refused = asyncio.create_task(server.refused())
        await asyncio.wait({process, refused}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert not process.done()
        await server.watched()
        assert not process.done()
        process.cancel()
        with suppress(asyncio.CancelledError):
            await process
