"""What the kubelet runs inside the sidecar's container to learn whether the trainer may start."""

import asyncio
import sys
from typing import Any, cast

import pytest
from kit.jobs import a_job, a_script_job
from kit.ports import free_port
from spot_operator.api import names
from spot_operator.domain.actions import CreatePod, Grant
from spot_operator.render.pod import render_pod
from spot_operator.render.settings import RenderSettings
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.pod_api.connections import ConnectionLimit
from spot_sidecar.pod_api.drain import Drain
from spot_sidecar.pod_api.routes import build_pod_app
from spot_sidecar.pod_api.server import serve_pod

Json = dict[str, Any]
SETTINGS = RenderSettings(sidecar_image="s:1", reports_url="https://r", ca_bundle="ca")
FIRST = CreatePod(attempt=1, rank=0, grant=Grant(1, None))


def the_probe(**job: Any) -> Json:
    pod = render_pod(a_job(**job), FIRST, SETTINGS, drain_token="t")
    probe: Json = pod["spec"]["initContainers"][0]["startupProbe"]
    return probe


async def exit_code(port: int) -> int:
    """Of the probe's command, with this port for the sidecar's."""
    _, *arguments = the_probe()["exec"]["command"]
    asked = [one.replace(str(names.SIDECAR_PORT), str(port)) for one in arguments]
    assert asked != arguments
    process = await asyncio.create_subprocess_exec(
        sys.executable, *asked, stderr=asyncio.subprocess.DEVNULL
    )
    return await asyncio.wait_for(process.wait(), 30)


@pytest.mark.parametrize("job", [{}, a_script_job()], ids=["SDK", "script"])
def test_it_goes_over_no_network_where_a_mesh_stands_in_between(job: Json) -> None:
    """A proxy that a mesh adds starts after our sidecar has, and answers no probe before."""
    assert not {"httpGet", "tcpSocket", "grpc"} & the_probe(**job).keys()


@pytest.mark.parametrize(("ready", "expected"), [(True, 0), (False, 1)])
def test_it_succeeds_once_the_trainer_may_start(ready: bool, expected: int) -> None:
    async def scenario() -> None:
        connections = ConnectionLimit()
        app = build_pod_app(
            cast("Drain", None), Metrics(), connections, drain_token="t", ready=lambda: ready
        )
        runner = await serve_pod(app, "127.0.0.1", 0, connections)
        try:
            assert await exit_code(runner.addresses[0][1]) == expected
        finally:
            await runner.cleanup()

    asyncio.run(scenario())


def test_it_fails_while_nothing_serves() -> None:
    assert asyncio.run(exit_code(free_port())) == 1
