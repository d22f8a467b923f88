"""The operator's word that this attempt may train. Without it nothing is claimed or chosen."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spot_sidecar.base.pulse import Pulse
from spot_sidecar.state.attempt_state import Origin

__all__ = ["ANNOTATION", "Grant", "GrantWatcher", "read_grant"]

log = logging.getLogger(__name__)

ANNOTATION = "spottraining.dev/grant"


@dataclass(frozen=True, slots=True)
class Grant:
    """What the operator knows when it grants: `newest` is the last commit in the job's status.

    `inherits`: there is none, and the job is to go on from another's lineage.
    """

    attempt: int
    newest: Origin | None = None
    suspects: tuple[str, ...] = ()
    start_fresh: bool = False
    inherits: bool = False

    @property
    def leads_somewhere(self) -> bool:
        """Whether a script's arguments were made for a checkpoint."""
        return self.newest is not None or self.inherits


def read_grant(text: str) -> Grant:
    """Read the annotation.

    Raises:
        ValueError: it is not a grant.
    """
    try:
        raw = json.loads(text)
        newest = raw.get("newest")
        return Grant(
            attempt=int(raw["attempt"]),
            newest=None if newest is None else _origin(newest),
            suspects=tuple(str(id_) for id_ in raw.get("suspects") or ()),
            start_fresh=bool(raw.get("startFresh")),
            inherits=bool(raw.get("inherits")),
        )
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no grant in {text[:200]!r}: {error!r}") from None


def _origin(raw: Mapping[str, Any]) -> Origin:
    return Origin(int(raw["attempt"]), int(raw["step"]), str(raw["id"]))


class GrantWatcher:
    """Where the grant of this attempt is waited for; one for another attempt counts for nothing."""

    def __init__(self, attempt: int, *, start_fresh: bool) -> None:
        """`start_fresh`: the job's own settings allow it, whatever the grant says."""
        self._attempt = attempt
        self._start_fresh = start_fresh
        self._arrivals = Pulse()
        self.grant: Grant | None = None

    def read(self, annotations: Mapping[str, str]) -> None:
        """Look for the grant among the pod's annotations; the first one stands."""
        text = annotations.get(ANNOTATION)
        if text is None or self.grant is not None:
            return
        try:
            grant = read_grant(text)
        except ValueError as error:
            log.warning("the grant cannot be read: %s", error)
            return
        if grant.attempt == self._attempt:
            self.grant = replace(grant, start_fresh=grant.start_fresh or self._start_fresh)
            self._arrivals.ring()

    async def granted(self) -> Grant:
        """Wait for the grant."""
        while self.grant is None:
            await self._arrivals.beyond(self._arrivals.beat)
        return self.grant
