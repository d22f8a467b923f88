"""Who may write: leadership by a `coordination.k8s.io` Lease.

The holder renews every `retry_seconds` and counts itself leader for `renew_deadline` seconds from
the moment it *sent* its last successful renewal. Another takes the lease when it has itself
watched it unchanged for `lease_seconds`. Each measures only with its own monotonic clock; the
times in the object are for people. (The algorithm is client-go's `leaderelection`.)

So two processes never lead at once as long as their clocks run at rates that differ by less than
`lease_seconds / renew_deadline` (1.5 by default): the server's change of the record lies after
the first moment and before the second. Pauses of any length do not matter, `is_leader` looks at
the clock on every call. What can still happen late is a request sent just before the deadline:
see `fence`.

Leadership once lost is lost: `is_leader` stays False until `acquire` is won again, even if a late
renewal turns out to have worked.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spot_operator.control.client import Client, Json
from spot_operator.control.clock import Clock, Entropy, timestamp, within
from spot_operator.control.errors import AlreadyExists, ApiError, Conflict, ControlError, NotFound
from spot_operator.control.resource import LEASES

__all__ = ["LeaderLease", "LeaseTimes", "LostLease"]

log = logging.getLogger(__name__)


class LostLease(ControlError):  # noqa: N818 - an event of a leader's life
    """This process led, and leads no more."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds; the defaults are Kubernetes' own.

    Raises:
        ValueError: they do not keep `retry < renew_deadline < lease`, on which safety rests.
    """

    lease: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.lease:
            raise ValueError(
                f"lease times must keep 0 < retry < renew deadline < lease, not "
                f"0 < {self.retry:g} < {self.renew_deadline:g} < {self.lease:g}"
            )


class LeaderLease:
    """One process's claim to one lease.

        await lease.acquire()          # returns when it leads
        try:
            await lease.hold()         # renews; raises LostLease
        finally:
            await lease.release()      # lets the next one in at once

    `identity` is `name` and a token of its own: a restarted process is another one. `owners` are
    the owner references of the Lease: it is deleted with them.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        entropy: Entropy,
        *,
        namespace: str,
        lease: str,
        name: str,
        times: LeaseTimes | None = None,
        owners: Callable[[], list[Json]] = list,
    ) -> None:
        self.identity = f"{name}_{entropy.token()}"
        self.holder = ""
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._namespace = namespace
        self._lease = lease
        self._times = times or LeaseTimes()
        self._owners = owners
        self._record: Json | None = None
        self._changed_at = 0.0
        self._leads_until: float | None = None

    def is_leader(self) -> bool:
        """Whether this process leads at this very moment; asks nobody but the clock."""
        return self._leads_until is not None and self._clock.monotonic() < self._leads_until

    @property
    def transitions(self) -> int:
        """How often the lease has changed hands, as last observed."""
        return int(self._spec().get("leaseTransitions") or 0)

    async def acquire(self) -> None:
        """Return when this process leads. Trouble with the server is logged and waited out."""
        self._leads_until = None
        while not await self._campaign():
            # Jittered, so that the candidates do not all ask in the same instant.
            await self._clock.sleep(self._times.retry * self._entropy.uniform(1.0, 1.2))
        log.info("leading as %s", self.identity)

    async def hold(self) -> None:
        """Renew for as long as it works.

        Raises:
            LostLease: it is held by another, or could not be renewed in time.
        """
        try:
            while True:
                await self._clock.sleep(self._times.retry)
                await self._renew_or_lose()
        finally:
            self._leads_until = None

    async def release(self) -> None:
        """Stop leading, now, and tell the others if the server can be reached."""
        self._leads_until = None
        if self._record is None or self.holder != self.identity:
            return
        try:
            await within(self._clock, self._times.retry, self._put(self._released()))
        except (ApiError, TimeoutError) as error:
            log.info("the lease was not released, the others will wait it out: %s", error)

    # --- becoming leader ---

    async def _campaign(self) -> bool:
        """One try; whether it was won."""
        try:
            return await within(self._clock, self._times.renew_deadline, self._try())
        except (Conflict, AlreadyExists):
            return False  # somebody else was faster
        except (ApiError, TimeoutError) as error:
            log.warning("cannot see or take the lease %s: %s", self._lease, error)
            return False

    async def _try(self) -> bool:
        record = await self._read()
        if record is not None:
            self._observe(record)
        # Also where the record is gone: whoever held it when we last looked does not know yet.
        if self.holder not in {"", self.identity} and not self._has_run_out():
            return False
        await self._take(record)
        return self.is_leader()

    async def _read(self) -> Json | None:
        try:
            return await self._client.get(LEASES, self._lease, namespace=self._namespace)
        except NotFound:
            return None

    def _has_run_out(self) -> bool:
        # The holder's own duration counts: replicas of two versions may be set up differently.
        theirs = float(self._spec().get("leaseDurationSeconds") or 0)
        return self._clock.monotonic() - self._changed_at > max(self._times.lease, theirs)

    async def _take(self, record: Json | None) -> None:
        sent = self._clock.monotonic()
        if record is None:
            made = await self._client.create(LEASES, self._first(), namespace=self._namespace)
            self._observe(made.object)
        else:
            self._observe(await self._client.replace(LEASES, self._taken(record)))
        self._leads_until = sent + self._times.renew_deadline

    # --- staying leader ---

    async def _renew_or_lose(self) -> None:
        """Try until it works or the time is over. Raises LostLease."""
        while True:
            left = (self._leads_until or 0.0) - self._clock.monotonic()
            if left <= 0:
                raise LostLease(f"not renewed within {self._times.renew_deadline:g} s")
            try:
                await within(self._clock, left, self._renew())
            except (ApiError, TimeoutError) as error:
                log.warning("cannot renew the lease %s: %s", self._lease, error)
            else:
                return
            await self._clock.sleep(min(left, self._times.retry / 2))

    async def _renew(self) -> None:
        try:
            await self._renew_once()
        except (Conflict, NotFound) as error:
            await self._expect_still_ours(error)
            await self._renew_once()

    async def _renew_once(self) -> None:
        sent = self._clock.monotonic()
        wanted = self._owned(_with_spec(self._record or {}, renewTime=self._now()))
        renewed = await self._put(wanted)
        if not self.is_leader():
            raise LostLease("the renewal came back too late")
        self._observe(renewed)
        self._leads_until = sent + self._times.renew_deadline

    async def _expect_still_ours(self, cause: ApiError) -> None:
        """Our copy is old: either the lease is another's now, or someone else edited it."""
        record = await self._read()
        if record is None:
            raise LostLease("the lease was deleted") from cause
        self._observe(record)
        if self.holder != self.identity:
            raise LostLease(f"the lease is held by {self.holder or 'nobody'}") from cause

    # --- the record ---

    def _observe(self, record: Json) -> None:
        """Remember the record; our wait starts again whenever the holder has changed anything."""
        if self._record is None or record.get("spec") != self._record.get("spec"):
            self._changed_at = self._clock.monotonic()
        self._record = record
        self.holder = self._spec().get("holderIdentity") or ""

    def _spec(self) -> Json:
        spec: Json = (self._record or {}).get("spec") or {}
        return spec

    def _first(self) -> Json:
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {
                "name": self._lease,
                "namespace": self._namespace,
                "ownerReferences": self._owners(),
            },
            "spec": {**self._claim(), "leaseTransitions": 0},
        }

    def _taken(self, record: Json) -> Json:
        transitions = int((record.get("spec") or {}).get("leaseTransitions") or 0)
        changed = self.holder != self.identity
        return self._owned(
            _with_spec(record, **self._claim(), leaseTransitions=transitions + changed)
        )

    def _owned(self, record: Json) -> Json:
        """Who knows no owner takes none away."""
        owners = self._owners()
        if not owners:
            return record
        return {**record, "metadata": {**record["metadata"], "ownerReferences": owners}}

    def _claim(self) -> Json:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._times.lease),
            "acquireTime": self._now(),
            "renewTime": self._now(),
        }

    def _released(self) -> Json:
        # An empty holder and the shortest duration: what client-go writes, and others understand.
        return _with_spec(
            self._record or {}, holderIdentity="", leaseDurationSeconds=1, renewTime=self._now()
        )

    async def _put(self, record: Json) -> Json:
        return await self._client.replace(LEASES, record)

    def _now(self) -> str:
        return timestamp(self._clock.now(), micro=True)


def _with_spec(record: Json, **values: Any) -> Json:
    return {**record, "spec": {**(record.get("spec") or {}), **values}}
