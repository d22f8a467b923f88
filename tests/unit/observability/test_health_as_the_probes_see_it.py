"""Who lives, who is ready, over real HTTP; and what a line of the log looks like."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest
from spot_operator.observability.health import Facts, Verdict, alive, ready
from spot_operator.observability.logs import configure
from spot_operator.observability.server import MAX_CONNECTIONS, ObservabilityServer

INF = float("inf")


@pytest.mark.parametrize(
    ("facts", "lives"),
    [
        (Facts(leading=False), True),
        (Facts(leading=False, silences={"pods": INF}), True),
        (Facts(leading=True, silences={"pods": INF}), True),
        (Facts(leading=True, refused="x/y already watches a", silences={"pods": INF}), True),
        (Facts(leading=True, leading_for=100, silences={"pods": 60, "jobs": 170}), True),
        (Facts(leading=True, leading_for=500, silences={"pods": 60, "jobs": 181}), False),
        (Facts(leading=True, leading_for=500, stuck_for=299), True),
        (Facts(leading=True, leading_for=500, stuck_for=301), False),
    ],
)
def test_who_lives(facts: Facts, lives: bool) -> None:
    assert alive(facts).good is lives


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(leading=False), Verdict(good=True, why="standing by")),
        (Facts(leading=True, synced=True), Verdict(good=True, why="leading")),
        (
            Facts(leading=True, synced=False),
            Verdict(good=False, why="leading, the first lists are not in yet"),
        ),
        (
            Facts(leading=True, synced=True, lacks="the reports server has no certificate"),
            Verdict(
                good=False,
                why="leading, but no report is heard: the reports server has no certificate",
            ),
        ),
        (
            Facts(leading=False, refused="x/y already watches a"),
            Verdict(good=False, why="x/y already watches a"),
        ),
    ],
)
def test_who_is_ready(facts: Facts, expected: Verdict) -> None:
    assert ready(facts) == expected


async def test_probes_and_scrapes_over_http() -> None:
    verdict = Verdict(good=True, why="leading")
    server = ObservabilityServer(
        metrics=lambda: b"x 1\n",
        alive=lambda: verdict,
        ready=lambda: Verdict(good=False, why="not yet"),
        host="127.0.0.1",
        port=0,
    )
    port = await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(path) as answer:
                return answer.status, await answer.text()

        assert await get("/livez") == (200, "leading\n")
        assert await get("/readyz") == (503, "not yet\n")
        assert await get("/metrics") == (200, "x 1\n")
        verdict = Verdict(good=False, why="nothing heard of pods")
        assert await get("/livez") == (503, "nothing heard of pods\n")
    await server.stop()


async def test_a_crowd_at_the_port_is_bounded_and_the_probes_are_answered() -> None:
    """Every pod of the cluster may open connections and say nothing."""
    well = Verdict(good=True, why="leading")
    server = ObservabilityServer(
        metrics=lambda: b"", alive=lambda: well, ready=lambda: well, host="127.0.0.1", port=0
    )
    port = await server.start()
    crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MAX_CONNECTIONS)]
    for reader, _ in crowd[:MAX_CONNECTIONS]:
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(1), 5) == b""
    url = f"http://127.0.0.1:{port}/livez"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
    for _, writer in crowd:
        writer.transport.abort()
    await server.stop()


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Puts the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_of_json(root_logger: None, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log = logging.getLogger("spot_operator.test")
    log.debug("unsaid")
    try:
        int("ü")
    except ValueError:
        log.exception("%s: failed", "research/digits")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"]) == ("error", "spot_operator.test")
    assert said["message"] == "research/digits: failed"
    assert "ValueError: invalid literal" in said["exception"]
    assert said["time"].endswith("Z")


def test_a_line_of_text(root_logger: None, capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", "text")
    logging.getLogger("spot_operator.test").debug("said")
    assert "DEBUG   spot_operator.test: said" in capsys.readouterr().err
