"""`python -m spot_operator release-jobs`: what is done before a release is uninstalled.

    wait for deletions under way -> end the replicas -> lead in their place -> let the jobs go

A job with `checkpoint.deletionPolicy: Delete` is held by our finalizer until its checkpoints are
deleted, and only an operator deletes them. Without one the job, its CRD and its namespace would
wait for ever. So the finalizers come off, and the checkpoints stay: nothing is deleted here.
An operator that is installed again puts the finalizers back.

It leads and holds the release's claim while it works, so no replica and no other release acts on
the same jobs. A release that never held its claim has held no job either, and lets none go.
"""

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from spot_operator import __version__
from spot_operator.api import names
from spot_operator.api.events import Event
from spot_operator.control import credentials
from spot_operator.control.client import Client, list_all
from spot_operator.control.clock import Clock, Entropy, SystemClock, SystemEntropy, within
from spot_operator.control.errors import ApiError, Conflict, ControlError, Forbidden, NotFound
from spot_operator.control.events import EventRecorder, Note, reference
from spot_operator.control.fence import FencedClient
from spot_operator.control.http_client import HttpClient
from spot_operator.control.lease import LeaderLease
from spot_operator.control.resource import DEPLOYMENTS
from spot_operator.control.retry import RetryingClient
from spot_operator.control.watch_claim import Claim, WatchClaim
from spot_operator.reconcile.kinds import JOBS
from spot_operator.settings import listed

__all__ = ["COMMAND", "Release", "Uninstall", "release_jobs"]

log = logging.getLogger(__name__)

Json = dict[str, Any]

COMMAND: Final = "release-jobs"
_LOOK_SECONDS: Final = 2.0
_TRIES: Final = 5
_CLAIM_SECONDS: Final = 60.0


class Stopped(ControlError):  # noqa: N818 - an outcome, told to the user
    """It could not be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Release:
    """Which release is uninstalled, and how long that may take."""

    namespace: str
    deployment: str
    """Also the name of its Lease."""
    replicas: int
    """What its Deployment is put back to when the jobs could not be let go."""
    claims_namespace: str
    watches: tuple[str, ...]
    seconds: float


class Uninstall:
    """One run of it, on any client and clock."""

    def __init__(self, client: Client, clock: Clock, entropy: Entropy, release: Release) -> None:
        self.release = release
        self.let_go: list[str] = []
        """The jobs as `namespace/name`."""
        self._clock = clock
        self._reader = client
        self._scaler = RetryingClient(client, clock, entropy)
        self._lease = LeaderLease(
            client,
            clock,
            entropy,
            namespace=release.namespace,
            lease=release.deployment,
            name="uninstall",
        )
        fenced = FencedClient(client, self._lease.is_leader)
        self._client = RetryingClient(fenced, clock, entropy)
        self._claim = WatchClaim(
            fenced,
            clock,
            release.claims_namespace,
            Claim(f"{release.namespace}/{release.deployment}", frozenset(release.watches)),
            _CLAIM_SECONDS,
        )
        self._recorder = EventRecorder(
            self._client, clock, entropy, controller=names.FIELD_MANAGER, instance="uninstall"
        )

    async def run(self) -> None:
        """Do all of it.

        Raises:
            Stopped: it could not be done; the replicas run again.
            ApiError: the server refused what is needed before anything was changed.
        """
        await self._await_deletions()
        if await self._is_refused():
            return
        await self._scale(0)
        try:
            await within(self._clock, self.release.seconds / 2, self._let_all_go())
        except (ApiError, TimeoutError, BaseExceptionGroup) as error:
            await self._scale(self.release.replicas)
            raise Stopped(
                f"not every job was let go ({_said(error)}), and the operator runs again: try "
                "again, or go on without this step by: helm uninstall --no-hooks"
            ) from error

    async def _await_deletions(self) -> None:
        """Give the operator time for the checkpoints it is deleting."""
        end = self._clock.monotonic() + self.release.seconds / 2
        while going := [job for job in await self._held() if _is_going(job)]:
            if self._clock.monotonic() >= end:
                for job in going:
                    log.warning("%s is still being deleted: no longer waited for", _name(job))
                return
            await self._clock.sleep(_LOOK_SECONDS)

    async def _is_refused(self) -> bool:
        """Whether another release watches these jobs, so that none is held by this one.

        A claim may have been left behind by a release that is gone. So where there is another one,
        it is waited for which of the two is renewed, or for the end of the other's time.

        Raises:
            Stopped: none is, and the other's time has not ended.
        """
        end = self._clock.monotonic() + self.release.seconds
        while others := [claim for claim in await self._claim.look() if claim.held]:
            if self._claim.seen_renewed(self._claim.ours.holder):
                self._claim.rule_out(others)
                return False
            if any(self._claim.seen_renewed(one.holder) for one in others):
                log.info("no job is held by this release: %s", self._claim.trouble)
                return True
            if self._clock.monotonic() >= end:
                raise Stopped(
                    f"it is not known whether {others[0].holder} or this release holds the jobs: "
                    "try again, delete the Lease of a release that is gone, or go on without this "
                    "step by: helm uninstall --no-hooks"
                )
            await self._clock.sleep(_LOOK_SECONDS)
        return False

    async def _scale(self, replicas: int) -> None:
        try:
            await self._scaler.patch(
                DEPLOYMENTS,
                self.release.deployment,
                {"spec": {"replicas": replicas}},
                namespace=self.release.namespace,
                subresource="scale",
            )
        except NotFound:
            log.info("the Deployment %s is gone already", self.release.deployment)

    async def _let_all_go(self) -> None:
        await self._lease.acquire()
        try:
            async with asyncio.TaskGroup() as group:
                holding = group.create_task(self._lease.hold())
                await self._claim.take()
                for job in await self._held():
                    await self._let_go(job)
                await self._recorder.flush()
                await self._claim.withdraw()
                holding.cancel()
        finally:
            await self._lease.release()

    async def _held(self) -> list[Json]:
        found: list[Json] = []
        for namespace in self.release.watches or (None,):
            try:
                found += (await list_all(self._reader, JOBS, namespace=namespace)).items
            except NotFound:
                return []  # the CRD is gone, and every job with it
            except Forbidden as error:
                if namespace is None:
                    raise
                # Its Role went with it, or before: what cannot be read is not held from here.
                log.warning("jobs of %s may not be read: %s", namespace, error)
        return [job for job in found if names.FINALIZER in _finalizers(job)]

    async def _let_go(self, job: Json) -> None:
        for _ in range(_TRIES):
            meta = job["metadata"]
            try:
                await self._client.patch(
                    JOBS, meta["name"], _without_ours(job), namespace=meta["namespace"]
                )
            except Conflict:
                job = await self._client.get(JOBS, meta["name"], namespace=meta["namespace"])
                continue
            except NotFound:
                return
            self._tell(job)
            return
        raise Conflict(f"{_name(job)} is changed by somebody all the time")

    def _tell(self, job: Json) -> None:
        self.let_go.append(_name(job))
        text = (
            "the operator is being uninstalled: this job can be deleted without it, and its "
            "checkpoints then stay in the store. Install the operator again before you delete the "
            "job, or delete them by hand"
        )
        log.info("%s: %s", _name(job), text)
        self._recorder.record(
            Note(
                about=reference(job),
                type="Warning",
                reason=Event.RELEASED,
                text=text,
                action="Uninstall",
            )
        )


def _name(job: Json) -> str:
    return f"{job['metadata']['namespace']}/{job['metadata']['name']}"


def _finalizers(job: Json) -> list[str]:
    return job["metadata"].get("finalizers") or []


def _is_going(job: Json) -> bool:
    return "deletionTimestamp" in job["metadata"]


def _without_ours(job: Json) -> Json:
    """The patch, good only while the job is as it was read: it replaces the whole list."""
    meta = job["metadata"]
    others = [one for one in _finalizers(job) if one != names.FINALIZER]
    version = meta["resourceVersion"]
    return {"metadata": {"uid": meta["uid"], "resourceVersion": version, "finalizers": others}}


def _said(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_said(one) for one in error.exceptions)
    return str(error)


# --- as a program ---


def release_jobs(arguments: Sequence[str]) -> None:
    """Parse and run.

    Raises:
        ControlError: it could not be done; the message is for the user.
        SystemExit: an argument is wrong; the parser has said which.
    """
    parser = argparse.ArgumentParser(prog=f"spot-operator {COMMAND}", description=__doc__)
    for flag, text in (
        ("namespace", "namespace of the release"),
        ("deployment", "name of its Deployment and of its Lease"),
        ("claims-namespace", "where releases record what they watch"),
    ):
        parser.add_argument(f"--{flag}", required=True, help=text)
    parser.add_argument("--watch-namespaces", default="", help="with commas between; empty: all")
    parser.add_argument("--replicas", type=int, default=2, help="to go back to if it fails")
    parser.add_argument("--seconds", type=float, default=120.0, help="the whole may take")
    parser.add_argument("--kubeconfig", default="", help="outside a cluster")
    options = parser.parse_args(arguments)
    release = Release(
        namespace=options.namespace,
        deployment=options.deployment,
        replicas=options.replicas,
        claims_namespace=options.claims_namespace,
        watches=listed(options.watch_namespaces),
        seconds=options.seconds,
    )
    asyncio.run(_run(release, options.kubeconfig))


async def _run(release: Release, kubeconfig: str) -> None:
    clock = SystemClock()
    async with _connected(clock, kubeconfig) as client:
        await Uninstall(client, clock, SystemEntropy(), release).run()


@asynccontextmanager
async def _connected(clock: Clock, kubeconfig: str) -> AsyncIterator[Client]:
    connection = await credentials.load(clock, kubeconfig=kubeconfig or None, context=None)
    agent = f"{names.FIELD_MANAGER}/{__version__}"
    async with HttpClient(connection, user_agent=agent) as client:
        yield client
