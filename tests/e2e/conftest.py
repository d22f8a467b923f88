"""One cluster for all end-to-end tests; scenarios that need no node to fail run four at once.

A scenario mostly waits, so running them one after the other would waste the machine. The first
end-to-end test, whichever it is, starts them all in a pool; each then reports its own outcome.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.clustertrainers import QUICK
from stage.install import Stage, stage
from toolchain.layout import cache_from

AT_ONCE = 4


@pytest.fixture(scope="session")
def world() -> Iterator[Stage]:
    """A local cluster with the operator installed by helm."""
    cache = cache_from(os.environ)
    with stage(cache, cluster_id="e2e", grace_seconds=20) as ready:
        ready.kube.apply(QUICK)
        yield ready


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest, world: Stage) -> Iterator[dict[str, Future[None]]]:
    """Every chosen scenario, begun."""
    # The long ones first: what waits for minutes must not begin last.
    chosen = sorted(_together(request.session), key=_limit, reverse=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {item.nodeid: pool.submit(item.obj, world) for item in chosen}
        pool.shutdown(wait=False, cancel_futures=True)


@pytest.fixture(scope="session", autouse=True)
def early(request: pytest.FixtureRequest) -> None:
    """Begins the scenarios before the tests that have clusters of their own, and wait as much."""
    if _together(request.session):
        request.getfixturevalue("running")


def _together(session: pytest.Session) -> list[pytest.Function]:
    items = (item for item in session.items if isinstance(item, pytest.Function))
    return [item for item in items if item.get_closest_marker("together")]


def _limit(item: pytest.Function) -> float:
    """Seconds the test may take, as its own `timeout` mark says."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark is not None else 0.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test marked `together` was begun with the others: wait for its outcome here."""
    if not pyfuncitem.get_closest_marker("together"):
        return None
    begun: dict[str, Future[None]] = pyfuncitem._request.getfixturevalue("running")
    begun[pyfuncitem.nodeid].result()
    return True


@pytest.fixture(autouse=True)
def explained(request: pytest.FixtureRequest) -> Iterator[None]:
    """When a scenario failed, keep what the operator said, before the cluster goes."""
    yield
    folder = os.environ.get("SPOT_E2E_LOGS")
    if folder and "world" in request.fixturenames:
        ready: Stage = request.getfixturevalue("world")
        logs = ready.operators.run(
            "logs", "--selector", "app.kubernetes.io/component=operator", "--tail", "-1"
        )
        Path(folder, f"{request.node.name}.log").write_text(logs)
