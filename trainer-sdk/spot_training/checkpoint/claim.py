"""Claims: which pod holds (attempt, rank), and whether a later attempt has begun.

A claim is create-only. A pod that finds the claim of its own attempt and rank taken by another
nonce was started twice by its kubelet (Resurrected). The look for a higher claim is advisory:
safety comes from the attempt in every key and from the order (attempt, step).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Claim
from spot_training.checkpoint.store import Store


@dataclass(frozen=True, slots=True)
class Claimed:
    """The claim is ours (again)."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody else holds it; `holder` is what stands in the store."""

    holder: Claim


def claim(store: Store, mine: Claim) -> Claimed | Taken:
    """Claims (mine.attempt, mine.rank); a retry with the same nonce finds its own claim."""
    key = keys.claim(mine.attempt, mine.rank)
    if store.create(key, records.dump(mine)):
        return Claimed(mine)
    holder = records.load(Claim, store.read(key))
    ours = (holder.pod_uid, holder.nonce) == (mine.pod_uid, mine.nonce)
    return Claimed(holder) if ours else Taken(holder)


def read_claim(store: Store, attempt: int, rank: int) -> Claim:
    """The claim that stands; rank 0's nonce names the attempt's checkpoints. Raises NotFound."""
    return records.load(Claim, store.read(keys.claim(attempt, rank)))


def highest_attempt(store: Store) -> int:
    """The highest attempt that anybody claimed; 0 if none did."""
    return _highest(store.list(keys.CLAIMS))


def superseded_by(store: Store, attempt: int) -> int | None:
    """The highest attempt above this one that anybody claimed, if any.

    Asked again and again: the claims of the attempts before, thousands perhaps, are not listed.
    """
    return _highest(store.list(keys.CLAIMS, after=keys.claims_until(attempt))) or None


def _highest(claims: Iterable[str]) -> int:
    return max((parsed[0] for key in claims if (parsed := keys.parse_claim(key))), default=0)
