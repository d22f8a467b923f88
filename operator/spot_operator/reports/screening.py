"""What is refused before anybody is asked: tokens that no review could make good.

A stranger who knows no pod of ours cannot cause a single review; one who knows a pod's uid can
cause a few.
"""

from collections.abc import Callable
from typing import Final

from spot_operator.control.clock import Clock
from spot_operator.control.rate import RateBudgets
from spot_operator.reports.claims import MAX_TOKEN, claims_of
from spot_operator.reports.identity import Busy, PodIdentity, TokenReviewer, Unseen

__all__ = ["Screen"]

CLOCKS_DIFFER: Final = 86_400.0
"""Seconds. Our clock may be wrong, and the API server decides: only what is long past is spared."""
PER_POD_SECOND: Final = 0.1
PER_POD_AT_ONCE: Final = 5
"""Questions that tokens naming one pod may cause: an honest sidecar has a new one every 48 min."""
MAX_PODS: Final = 20_000


class Screen:
    """Stands before a `TokenReviewer`. `seen` says whether a pod of that uid and namespace is."""

    def __init__(
        self,
        reviewer: TokenReviewer,
        clock: Clock,
        audience: str,
        seen: Callable[[str, str], bool],
    ) -> None:
        self._reviewer = reviewer
        self._clock = clock
        self._audience = audience
        self._seen = seen
        self._budgets = RateBudgets(clock, PER_POD_SECOND, PER_POD_AT_ONCE, limit=MAX_PODS)

    async def pod_of(self, token: str) -> PodIdentity | None:
        """As `TokenReviewer.pod_of`.

        Raises:
            ApiError: the API server could not be asked.
            Unseen: the token names a pod that is not in the caches.
            Busy: too many tokens name that pod, or are waiting for their review.
        """
        if len(token) > MAX_TOKEN or not token.isascii():
            return None
        if not self._reviewer.knows(token) and not self._is_worth_asking(token):
            return None
        return await self._reviewer.pod_of(token)

    def _is_worth_asking(self, token: str) -> bool:
        claims = claims_of(token)
        if claims is None or self._audience not in claims.audiences:
            return False
        if claims.expires + CLOCKS_DIFFER < self._clock.now().timestamp():
            return False
        if not self._seen(claims.pod_uid, claims.namespace):
            raise Unseen(
                "the token's pod is not known here: it is not in the caches yet, or was deleted"
            )
        if self._budgets.take(claims.pod_uid):
            raise Busy("too many tokens in the name of this pod: try again")
        return True
