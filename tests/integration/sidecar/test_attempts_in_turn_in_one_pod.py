"""Two attempts in turn in one pod, in this process, on a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.raw_trainer import begin, save, state
from kit.sidecar import PodFolder, a_pod, eventually, lineage_store
from kit.stores import S3Server
from spot_sidecar.attempt import Attempt
from spot_sidecar.base.clock import SystemClock
from spot_sidecar.base.entropy import SystemEntropy
from spot_sidecar.config.spot_config import Config
from spot_sidecar.pod import Pod
from spot_training.backends.socket_http import Answer, SocketClient
from spot_training.checkpoint import keys, verify

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trainer:
    """Asks on the socket, from a thread of its own."""

    folder: PodFolder

    def ask(self, method: str, target: str, body: Json | None = None, **options: float) -> Answer:
        return SocketClient(self.folder.socket).insist(method, target, body, **options)


@asynccontextmanager
async def works(*several: Mapping[str, Any]) -> AsyncIterator[None]:
    """Run them inside the block; one that fails is an error."""
    tasks = [asyncio.create_task(work) for some in several for work in some.values()]
    try:
        yield
        assert not [task.exception() for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def a_running_pod(folder: PodFolder) -> AsyncIterator[Pod]:
    pod = Pod(folder.settings(), SystemClock(), SystemEntropy())
    pod.open()
    try:
        async with works(pod.works()):
            yield pod
    finally:
        await asyncio.to_thread(pod.witness.stop)
        await pod.close()


@asynccontextmanager
async def running(pod: Pod, config: Config) -> AsyncIterator[Attempt]:
    """The attempt, until another one may follow."""
    attempt = Attempt(pod, config)
    runner = await attempt.serve()
    try:
        async with works(attempt.works()):
            yield attempt
            await attempt.bring_in()
    finally:
        attempt.give_up()
        await runner.cleanup()


async def committed(trainer: Trainer, step: int) -> None:
    snapshot = await asyncio.to_thread(save, trainer, step, reason="manual")
    assert await asyncio.to_thread(state, trainer, snapshot, 20) == "committed"


async def test_the_second_resumes_from_the_commit_of_the_first(folder: Path, s3: S3Server) -> None:
    store = lineage_store(s3)
    with a_pod(folder, s3=s3) as files:
        trainer = Trainer(files)
        config = files.settings().config
        async with a_running_pod(files) as pod:
            async with running(pod, config):
                files.grant()
                assert (await asyncio.to_thread(begin, trainer))["decision"] == "fresh"
                await committed(trainer, 3)
            (first,) = filter(None, map(keys.parse_commit, store.list(keys.COMMITS)))

            async with running(pod, config.model_copy(update={"attempt": 2})):
                newest = {"attempt": 1, "step": 3, "id": str(first)}
                files.annotate(grant={"attempt": 2, "newest": newest})
                begun = await asyncio.to_thread(begin, trainer)
                assert (begun["decision"], begun["id"]) == ("checkpoint", str(first))
                loaded = {"process": 0, "step": 3, "verified": True, "differs": [], "seconds": 0.1}
                await asyncio.to_thread(trainer.ask, "POST", "/v1/resumed", loaded)
                await committed(trainer, 4)
            newest_key = store.list(keys.COMMITS)[0]
            second = keys.parse_commit(newest_key)
            assert second is not None
            assert (second.attempt, second.step) == (2, 4)
            assert verify.read_manifest(store, str(second)).parent == str(first)
            operator = files.operator
            assert operator is not None
            await asyncio.to_thread(
                eventually,
                "a report of the second attempt with its commit",
                lambda: (operator.reports[-1].get("commit") or {}).get("attempt") == 2,
            )
            assert operator.reports[-1]["attempt"] == 2
            assert operator.reports[-1]["resume"]["from"] == newest


@pytest.mark.parametrize("former", [False, True], ids=["the first", "behind another"])
async def test_without_a_grant_nothing_is_claimed_chosen_or_written(
    folder: Path, s3: S3Server, former: bool
) -> None:
    store = lineage_store(s3)
    with a_pod(folder, s3=s3) as files:
        trainer = Trainer(files)
        config = files.settings().config
        async with a_running_pod(files) as pod:
            if former:
                async with running(pod, config):
                    files.grant()
                    await asyncio.to_thread(begin, trainer)
                    await committed(trainer, 3)
            before = store.list("")
            assert bool(before) == former
            async with running(pod, config.model_copy(update={"attempt": 2})) as attempt:
                asked = {"process": 0, "wait": 2}
                answer = await asyncio.to_thread(trainer.ask, "POST", "/v1/resume", asked)
                assert answer.body["state"] == "waiting"
                assert attempt.attempt_start.decision is None
                assert store.list("") == before
            assert store.list("") == before
