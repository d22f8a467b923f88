"""Reports over TLS to an operator that listens, refuses, changes its authority or is not there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from kit.operator_fake import make_authority
from kit.sidecar import PodFolder, a_pod
from spot_operator.reports.book import ReportBook
from spot_operator.reports.schema import Report
from spot_sidecar.base.clock import SystemClock
from spot_sidecar.operator_link.reporter import Reporter
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.state_persistence import persistent_state, restore_state


@contextlib.asynccontextmanager
async def a_reporter(
    pod: PodFolder, outdated: Callable[[int], object] = print
) -> AsyncIterator[tuple[Reporter, AttemptState]]:
    """A reporter that trusts the pod's operator."""
    settings = pod.settings()
    attempt_state = AttemptState(SystemClock(), settings.config.attempt, SystemClock().now())
    reporter = Reporter(
        attempt_state, settings.config, settings.pod, settings.paths.token, outdated
    )
    assert pod.operator is not None
    reporter.trust(pod.operator.bundle)
    try:
        yield reporter, attempt_state
    finally:
        await reporter.close()


@contextlib.asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await SystemClock().sleep(0.01)


async def test_the_token_is_read_again_for_every_report(tmp_path: Path) -> None:
    with a_pod(tmp_path) as pod:
        async with a_reporter(pod) as (reporter, _):
            assert await reporter.send()
            (tmp_path / "token").write_text("token-2")
            assert await reporter.send()
        assert pod.operator is not None
        assert pod.operator.tokens == ["Bearer token-1", "Bearer token-2"]
        assert [report["sequence"] for report in pod.operator.reports] == [1, 2]


async def test_only_the_annotated_authority_is_believed(tmp_path: Path) -> None:
    with a_pod(tmp_path) as pod:
        assert pod.operator is not None
        async with a_reporter(pod) as (reporter, _):
            right = pod.operator.bundle
            wrong = make_authority(tmp_path / "..")
            reporter.trust(wrong)
            assert not await reporter.send()
            reporter.trust(None)
            assert not await reporter.send()
            reporter.trust("no certificate at all")
            assert not await reporter.send()
            assert pod.operator.reports == []
            reporter.trust(wrong + right)
            assert await reporter.send()


async def test_events_wait_until_they_were_heard(tmp_path: Path) -> None:
    with a_pod(tmp_path) as pod:
        assert pod.operator is not None
        pod.operator.answers += [(503, {}), (401, {}), (422, {"error": "what"})]
        async with a_reporter(pod) as (reporter, attempt_state):
            attempt_state.note("CheckpointFlushed", "step 1")
            for _ in range(3):
                assert not await reporter.send()
                assert len(attempt_state.events) == 1
            assert await reporter.send()
            assert len(attempt_state.events) == 0
            assert await reporter.send()
        assert [len(report["events"]) for report in pod.operator.reports] == [1, 1, 1, 1, 0]


async def test_an_urgent_change_is_reported_at_once(tmp_path: Path) -> None:
    with a_pod(tmp_path) as pod:
        assert pod.operator is not None
        operator = pod.operator
        async with a_reporter(pod) as (reporter, attempt_state), running(reporter.run()):
            await until(lambda: len(operator.reports) >= 1)
            await asyncio.sleep(0.3)
            quiet = len(operator.reports)
            attempt_state.say("Paused", "node is going")
            await until(lambda: operator.find(lambda report: report["word"]), 2)
            assert len(operator.reports) <= quiet + 2


async def test_a_word_is_heard_once_a_report_with_it_was_acknowledged(tmp_path: Path) -> None:
    with a_pod(tmp_path) as pod:
        assert pod.operator is not None
        pod.operator.answers += [(503, {})] * 2
        async with a_reporter(pod) as (reporter, attempt_state), running(reporter.run()):
            attempt_state.say("Finished", "")
            assert attempt_state.word is not None
            assert await reporter.heard(attempt_state.word, 15)
            assert pod.operator.reports[-1]["word"]["word"] == "Finished"


async def test_without_an_operator_nobody_waits_longer_than_asked(tmp_path: Path) -> None:
    with a_pod(tmp_path / "pod") as pod:
        async with a_reporter(pod) as (reporter, attempt_state):
            attempt_state.say("Finished", "")
            assert attempt_state.word is not None
            assert not await reporter.heard(attempt_state.word, 0.2)


async def test_the_operators_word_of_a_newer_attempt_is_passed_on(tmp_path: Path) -> None:
    told: list[int] = []
    with a_pod(tmp_path) as pod:
        assert pod.operator is not None
        pod.operator.answers += [(409, {"attempt": 4}), (409, {})]
        async with a_reporter(pod, told.append) as (reporter, _):
            assert not await reporter.send()
            assert not await reporter.send()
    assert told == [4, 0]


async def test_an_operator_that_comes_back_is_found_again(tmp_path: Path) -> None:
    with a_pod(tmp_path / "pod") as pod:
        async with a_reporter(pod) as (reporter, _):
            assert await reporter.send()
            assert pod.operator is not None
            pod.operator.answers.append((503, {"error": "this one does not lead"}))
            assert not await reporter.send()
            assert await reporter.send()


async def test_a_restarted_sidecar_is_heard_whatever_its_clock_says(tmp_path: Path) -> None:
    book, bodies = ReportBook(SystemClock()), []
    with a_pod(tmp_path) as pod:
        assert pod.operator is not None
        async with a_reporter(pod) as (first, attempt_state):
            for _ in range(5):
                assert await first.send()
            journal = persistent_state(attempt_state)
        async with a_reporter(pod) as (second, again):
            restore_state(again, journal)
            assert await second.send()
            again.started_at -= timedelta(days=1)
            assert await second.send()
        bodies = pod.operator.reports
    kept = [book.put(Report.model_validate(body)) for body in bodies]
    assert kept == [True] * 7
    assert not book.put(Report.model_validate(bodies[0]))
