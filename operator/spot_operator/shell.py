"""kopf as the process's shell: life cycle, signals, login, liveness, and events that wake jobs.

Nothing is decided here and nothing is remembered by kopf: its index keeps objects that are gone,
its handlers' progress would live in annotations. Its events of the job kind only enqueue keys, as
our own informer's do. Its peering is off: leadership is a Lease of ours.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any, Final, cast

import kopf

from spot_operator.api import names
from spot_operator.control.clock import SystemClock
from spot_operator.program import Program
from spot_operator.settings import Settings

__all__ = ["serve"]

EXIT_SECONDS: Final = 20.0
"""The process is killed if it has not ended so long after SIGTERM; a pod has 30 s."""
LOGIN_SECONDS: Final = 2.0
"""Between a refusal of the credentials and the next try with what is on the disk by then."""
NO_TIME_SOON: Final = timedelta(days=3650)


async def serve(settings: Settings) -> BaseException | None:
    """Run until a signal or the end of the replica; returns what it ended of, if not a signal.

    Raises:
        CredentialsError, OSError: it could not even start.
    """
    program = Program(settings)
    # Started before kopf: at its end kopf cancels every task that began after it did.
    await program.start()
    try:
        await kopf.operator(
            registry=_registry(program),
            settings=_kopf_settings(),
            # Otherwise kopf asks for the user's name, and a container's user has none.
            identity=cast("Any", settings.pod_name),
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            liveness_endpoint=_probe_endpoint(settings),
            stop_flag=program.ended,
        )
    finally:
        await program.stop()
    return program.fault


def _probe_endpoint(settings: Settings) -> str:
    # kopf bounds no connections: the probes that others ask are those of `observability.server`.
    host = "[::1]" if ":" in settings.pod_ip else "127.0.0.1"
    return f"http://{host}:{settings.probe_port}/livez"


def _registry(program: Program) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    never_again = kopf.ErrorsMode.PERMANENT
    clock, logins = SystemClock(), count()

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        """The same credentials as new ones: kopf ends the process over any that were refused once,
        and an API server that has just begun refuses good tokens for some seconds."""
        if next(logins):
            await clock.sleep(LOGIN_SECONDS)
        found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
        return found and replace(found, expiration=clock.now() + NO_TIME_SOON)

    @kopf.on.probe(registry=registry, id="operator", errors=never_again)
    async def probe(**_: Any) -> str:
        verdict = program.alive()
        if not verdict.good:
            raise kopf.PermanentError(verdict.why)
        return verdict.why

    @kopf.on.event(names.GROUP, names.VERSION, names.JOB_PLURAL, registry=registry)
    async def job_changed(namespace: str | None, name: str, **_: Any) -> None:
        program.look_at(namespace or "", name)

    @kopf.on.cleanup(registry=registry)
    async def cleanup(**_: Any) -> None:
        # Here and not after: what kopf finds running once it is done, it waits 5 s for.
        await program.stop()

    return registry


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = _Patient()
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = EXIT_SECONDS
    return settings


class _Patient:
    """Waits between tries of a request, without end: whether to go on is the probes' matter."""

    def __iter__(self) -> Iterator[float]:
        wait = 0.5
        while True:
            yield wait
            wait = min(30.0, wait * 2)


def run(settings: Settings) -> BaseException | None:
    """`serve` on a loop of its own."""
    return asyncio.run(serve(settings))
