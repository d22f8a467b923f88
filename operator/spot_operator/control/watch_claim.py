"""Who may watch which namespaces: two releases of one program never work on the same objects.

Each release has a claim, a Lease in one namespace that all releases know, which says which
namespaces it watches. Its leader writes it, every release reads them all:

    nothing live overlaps -> write a Candidate -> read all again
      another holds, or is a candidate that goes first  -> withdraw, wait
      another is a candidate that goes after us         -> wait for it to withdraw
      nothing live overlaps                             -> write Held, and renew

Of two that write their candidates at the same time at least one reads the other's, and which of
them goes first both read off the names alone. So no two hold overlapping claims.

A claim is alive until the reader has itself watched it unchanged, or gone, for the claim's
duration, on its own monotonic clock; the times in the object are for people. The holder counts on
its claim for two thirds of that, measured from the moment it *sent* its last renewal.
"""

import logging
import math
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from spot_operator.control.client import Client, Json, list_all
from spot_operator.control.clock import Clock, timestamp, within
from spot_operator.control.errors import AlreadyExists, ApiError, Conflict, NotFound
from spot_operator.control.lease import LostLease
from spot_operator.control.resource import LEASES

__all__ = [
    "ANNOTATION_STATE",
    "ANNOTATION_WATCHES",
    "LABEL",
    "Claim",
    "WatchClaim",
    "in_our_way",
    "must_withdraw",
]

log = logging.getLogger(__name__)

LABEL: Final = "spottraining.dev/watch-claim"
ANNOTATION_WATCHES: Final = "spottraining.dev/watches"
ANNOTATION_STATE: Final = "spottraining.dev/claim"
EVERYTHING: Final = "*"
HELD: Final = "Held"
CANDIDATE: Final = "Candidate"

_RENEWALS_PER_LIFE: Final = 4
_LOOK_SECONDS: Final = 5.0
_TRY_AGAIN_SECONDS: Final = 2.0
_SAY_AGAIN_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Claim:
    """`holder` is a release as `namespace/name`; empty `watches` means every namespace."""

    holder: str
    watches: frozenset[str]
    held: bool = True

    def overlaps(self, other: "Claim") -> bool:
        """Whether both would work on the same objects."""
        return not self.watches or not other.watches or bool(self.watches & other.watches)

    def watched(self) -> str:
        """For people and for the record."""
        return ",".join(sorted(self.watches)) or EVERYTHING


def in_our_way(ours: Claim, others: Iterable[Claim]) -> list[Claim]:
    """Those of `others`, all alive, that overlap with `ours`; holders first, then by name."""
    found = [one for one in others if one.holder != ours.holder and one.overlaps(ours)]
    return sorted(found, key=lambda one: (not one.held, one.holder))


def must_withdraw(ours: Claim, way: Iterable[Claim]) -> bool:
    """Whether a candidate has to give way, rather than to wait for others to do so."""
    return any(one.held or one.holder < ours.holder for one in way)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A claim as first seen in this version, and until when it is alive if it stays so."""

    version: str
    claim: Claim | None
    until: float
    renewed: bool = False
    """Whether it was seen to change: its holder lives."""


@dataclass(slots=True)
class WatchClaim:
    """One release's claim, as one process of it sees it. `client` may write while that leads.

    await claim.take()      # returns when the release may work
    await claim.hold()      # renews; raises LostLease
    """

    client: Client
    clock: Clock
    namespace: str
    """Where all claims are."""
    ours: Claim
    seconds: float
    """A claim unchanged for so long is nobody's."""
    owners: Callable[[], list[Json]] = list
    """What the claim is deleted with."""
    trouble: str = ""
    """Why the release does not work; empty when nothing stands in its way."""
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _record: Json | None = None
    _until: float = -math.inf
    _said: tuple[str, float] = ("", -math.inf)

    @property
    def name(self) -> str:
        """The Lease's name."""
        return f"spot-training.{self.ours.holder.replace('/', '.')}"

    def holds(self) -> bool:
        """Whether the release may work at this very moment; asks nobody but the clock."""
        return self.clock.monotonic() < self._until

    async def look_out(self) -> None:
        """Only look whether others are in the way, for ever: what one that stands by does."""
        while True:
            await self._tried(self.look())
            await self.clock.sleep(_LOOK_SECONDS)

    async def take(self) -> None:
        """Return when the release may work. Trouble with the server is said and waited out."""
        self._until = -math.inf
        while not self.holds():
            await self._tried(self._try())
            if not self.holds():
                await self.clock.sleep(_LOOK_SECONDS)
        self._say("")
        log.info("watching %s as %s", self.ours.watched(), self.ours.holder)

    async def hold(self) -> None:
        """Renew for as long as it works.

        Raises:
            LostLease: it is not ours any more, or could not be renewed in time.
        """
        try:
            while True:
                await self.clock.sleep(self.seconds / _RENEWALS_PER_LIFE)
                await self._renew_or_lose()
        finally:
            self._until = -math.inf

    async def withdraw(self) -> None:
        """Let others in at once. Raises ApiError; they wait it out then."""
        self._until = -math.inf
        await self._give_up()

    # --- becoming the holder ---

    async def _tried(self, attempt: Coroutine[Any, Any, Any]) -> None:
        try:
            await within(self.clock, self.seconds / 3, attempt)
        except Conflict:
            return  # another replica of ours was faster: look again
        except (ApiError, TimeoutError) as error:
            self._say(
                f"cannot read or write the watch claims, the Leases labelled {LABEL} in the "
                f"namespace {self.namespace}: {str(error) or 'no answer'}; check the chart's Role "
                "there, or set claims.namespace"
            )

    async def look(self) -> list[Claim]:
        """The claims, alive, that are in the way of this one; holders first."""
        listing = await list_all(
            self.client, LEASES, namespace=self.namespace, label_selector=f"{LABEL}=true"
        )
        self._record = next(
            (one for one in listing.items if one["metadata"]["name"] == self.name), None
        )
        self._remember(listing.items)
        now = self.clock.monotonic()
        alive = [seen.claim for seen in self._seen.values() if seen.claim and now <= seen.until]
        way = in_our_way(self.ours, alive)
        self._say(self._refusal(way[0]) if way else "")
        return way

    def seen_renewed(self, holder: str) -> bool:
        """Whether that release was seen to renew a claim that it holds, in one look after another.

        The first sight of a claim does not tell one that is held from one that was left behind.
        """
        claims = [seen.claim for seen in self._seen.values() if seen.renewed and seen.claim]
        return any(one.held and one.holder == holder for one in claims)

    def rule_out(self, gone: Iterable[Claim]) -> None:
        """Count these as dead: our own release was seen to renew a claim that excludes them."""
        known = list(gone)
        for name, seen in self._seen.items():
            if seen.claim in known:
                self._seen[name] = replace(seen, until=-math.inf)

    async def _try(self) -> None:
        """One try, bounded by its caller: what was read long ago must not decide."""
        if await self.look():
            return
        began = self.clock.monotonic()
        await self._write(CANDIDATE)
        while way := await self.look():
            if must_withdraw(self.ours, way):
                await self._give_up()
                return
            await self.clock.sleep(1.0)
        await self._write(HELD)
        self._until = began + self._deadline

    def _remember(self, leases: list[Json]) -> None:
        """Note what is new; what is gone stays until its time is over.

        Who held a claim that was deleted learns of it with its next renewal, not before.
        """
        now = self.clock.monotonic()
        for lease in leases:
            meta = lease["metadata"]
            known = self._seen.get(meta["name"])
            if known is None or known.version != meta["resourceVersion"]:
                life = max(self.seconds, float(_spec(lease).get("leaseDurationSeconds") or 0))
                version = meta["resourceVersion"]
                self._seen[meta["name"]] = _Seen(
                    version, _claim_of(lease), now + life, renewed=known is not None
                )
        listed = {lease["metadata"]["name"] for lease in leases}
        for name in [n for n, seen in self._seen.items() if n not in listed and now > seen.until]:
            del self._seen[name]

    def _refusal(self, other: Claim) -> str:
        shared = self.ours.watches & other.watches or self.ours.watches or other.watches
        both = ", ".join(sorted(shared)) or "every namespace"
        return (
            f"the release {other.holder} already watches {both}, which this release "
            f"({self.ours.holder}) would watch too: nothing is done here. Uninstall one of the "
            "two, or give each its own namespaces by the chart's value watchNamespaces"
        )

    def _say(self, trouble: str) -> None:
        self.trouble = trouble
        said, at = self._said
        now = self.clock.monotonic()
        if trouble and (trouble != said or now - at >= _SAY_AGAIN_SECONDS):
            log.error("%s", trouble)
            self._said = (trouble, now)
        elif not trouble and said:
            log.info("nothing stands in the way of watching %s any more", self.ours.watched())
            self._said = ("", now)

    # --- staying the holder ---

    @property
    def _deadline(self) -> float:
        return self.seconds * 2 / 3

    async def _renew_or_lose(self) -> None:
        while True:
            left = self._until - self.clock.monotonic()
            if left <= 0:
                raise LostLease(f"the claim {self.name} was not renewed in time")
            try:
                await within(self.clock, left, self._renew())
            except (Conflict, NotFound) as error:
                await self._expect_still_ours(error)
                log.info("cannot renew the claim %s: %s", self.name, error)
            except (ApiError, TimeoutError) as error:
                log.warning("cannot renew the claim %s: %s", self.name, error)
            else:
                return
            # Also where the claim is still ours: a webhook may answer every write with 404 or 409.
            await self.clock.sleep(min(left, _TRY_AGAIN_SECONDS))

    async def _renew(self) -> None:
        sent = self.clock.monotonic()
        await self._write(HELD)
        if not self.holds():
            raise LostLease("the renewal of the claim came back too late")
        self._until = sent + self._deadline

    async def _expect_still_ours(self, cause: ApiError) -> None:
        """Our copy is old: somebody edited or deleted the claim."""
        try:
            record = await self.client.get(LEASES, self.name, namespace=self.namespace)
        except NotFound:
            raise LostLease(f"the claim {self.name} was deleted") from cause
        except ApiError:
            return  # the deadline decides
        claim = _claim_of(record)
        if claim is None or not claim.held or claim != self.ours:
            raise LostLease(f"the claim {self.name} was changed by somebody else") from cause
        self._record = record

    # --- the record ---

    async def _give_up(self) -> None:
        await self._write("")

    async def _write(self, state: str) -> None:
        wanted = self._rendered(state)
        if self._record is None:
            try:
                self._record = (await self.client.create(LEASES, wanted)).object
            except AlreadyExists:
                # It was not in the list: somebody took its label off.
                self._record = await self.client.get(LEASES, self.name, namespace=self.namespace)
            else:
                return
        wanted["metadata"]["resourceVersion"] = self._record["metadata"]["resourceVersion"]
        self._record = await self.client.replace(LEASES, wanted)

    def _owned_by(self) -> list[Json]:
        """Whom the claim belongs to as it stands: one who knows no owner takes none away."""
        return (self._record or {"metadata": {}})["metadata"].get("ownerReferences") or []

    def _rendered(self, state: str) -> Json:
        now = timestamp(self.clock.now(), micro=True)
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {LABEL: "true"},
                "annotations": {
                    ANNOTATION_WATCHES: self.ours.watched(),
                    ANNOTATION_STATE: state,
                },
                "ownerReferences": self.owners() or self._owned_by(),
            },
            "spec": {
                "holderIdentity": self.ours.holder if state else "",
                "leaseDurationSeconds": math.ceil(self.seconds),
                "renewTime": now,
            },
        }


def _spec(lease: Json) -> Json:
    return lease.get("spec") or {}


def _claim_of(lease: Json) -> Claim | None:
    """The claim that a Lease records; None when it was withdrawn."""
    holder = _spec(lease).get("holderIdentity")
    if not holder:
        return None
    notes = lease["metadata"].get("annotations") or {}
    watched = str(notes.get(ANNOTATION_WATCHES) or EVERYTHING)
    names = frozenset() if watched == EVERYTHING else frozenset(watched.split(","))
    return Claim(holder=holder, watches=names, held=notes.get(ANNOTATION_STATE) != CANDIDATE)
