"""Who sends a report: the pod to which the API server bound its token.

The sidecar's token is a projected one with our own audience, so it opens nothing else. The API
server writes the pod's uid into the review of such a token
(https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens).
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from spot_operator.control.client import Client
from spot_operator.control.clock import Clock
from spot_operator.control.resource import TOKENREVIEWS

__all__ = ["PodIdentity", "TokenReviewer"]

CACHE_SECONDS: Final = 120.0
"""A deleted pod's token is refused at the latest after this; its uid is checked each time."""
REFUSED_SECONDS: Final = 10.0
"""A token the server refused may not ask again at once: each question costs the API server."""
MAX_TOKENS: Final = 20_000

_EXTRA_POD_UID: Final = "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The pod a token is bound to."""

    uid: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    pod: PodIdentity | None
    until: float


class TokenReviewer:
    """Asks the API server about tokens, and remembers its answers for a while."""

    def __init__(self, client: Client, clock: Clock, audience: str) -> None:
        self._client = client
        self._clock = clock
        self._audience = audience
        self._known: OrderedDict[bytes, _Verdict] = OrderedDict()

    async def pod_of(self, token: str) -> PodIdentity | None:
        """The pod the token is bound to; None if it is not valid for us, or bound to none.

        Raises:
            ApiError: the API server could not be asked.
        """
        key = sha256(token.encode()).digest()
        known = self._known.get(key)
        if known is not None and known.until > self._clock.monotonic():
            return known.pod
        pod = await self._ask(token)
        self._remember(key, pod)
        return pod

    async def _ask(self, token: str) -> PodIdentity | None:
        review = {
            "apiVersion": TOKENREVIEWS.api_version,
            "kind": TOKENREVIEWS.kind,
            "spec": {"token": token, "audiences": [self._audience]},
        }
        answer = await self._client.create(TOKENREVIEWS, review)
        return _pod_in(answer.object.get("status") or {}, self._audience)

    def _remember(self, key: bytes, pod: PodIdentity | None) -> None:
        seconds = REFUSED_SECONDS if pod is None else CACHE_SECONDS
        self._known[key] = _Verdict(pod, self._clock.monotonic() + seconds)
        self._known.move_to_end(key)
        while len(self._known) > MAX_TOKENS:
            self._known.popitem(last=False)


def _pod_in(status: Mapping[str, Any], audience: str) -> PodIdentity | None:
    # A server that ignores audiences says so by leaving them out: its word is not enough.
    if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
        return None
    extra = (status.get("user") or {}).get("extra") or {}
    uids: list[str] = extra.get(_EXTRA_POD_UID) or []
    return PodIdentity(uid=uids[0]) if len(uids) == 1 and uids[0] else None
