"""Who sends a report: the pod to which the API server bound its token.

The sidecar's token is a projected one with our own audience, so it opens nothing else. The API
server writes the pod's uid into the review of such a token
(https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens).

Anybody in the cluster can send tokens. What strangers send costs the API server no more than
`QUESTIONS_PER_SECOND` reviews, evicts nothing that is known to be good, and takes no memory beyond
the bounds below. A token that was good before is asked about again whatever strangers do.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol

from spot_operator.control.client import Client
from spot_operator.control.clock import Clock
from spot_operator.control.errors import ApiError
from spot_operator.control.rate import RateBudget
from spot_operator.control.resource import TOKENREVIEWS

__all__ = ["Busy", "PodIdentity", "TokenReviewer", "Unseen"]

CACHE_SECONDS: Final = 120.0
"""A deleted pod's token is refused at the latest after this; its uid is checked each time."""
REFUSED_SECONDS: Final = 10.0
"""A token the server refused may not ask again at once: each question costs the API server."""
MAX_PODS: Final = 20_000
"""Pods whose tokens are known to be good, about 400 bytes each; the report book holds as many."""
TOKENS_PER_POD: Final = 3
"""The kubelet renews a pod's token long before it expires: two overlap."""
MAX_REFUSED: Final = 4096
"""Tokens that are known to be bad, about 200 bytes each."""
QUESTIONS_PER_SECOND: Final = 50.0
QUESTIONS_AT_ONCE: Final = 500
"""About tokens not known to be good. After a change of leader every pod's is one: 5,000 pods are
known again in 90 s; nothing is decided from their silence alone."""
OF_ONE_POD_PER_SECOND: Final = 0.5
OF_ONE_POD_AT_ONCE: Final = 5
"""About tokens of one pod that were good: one in two minutes is needed."""

_EXTRA_POD_UID: Final = "authentication.kubernetes.io/pod-uid"
_ACCOUNT: Final = "system:serviceaccount:"


class Busy(Exception):  # noqa: N818 - an answer, not a fault
    """Too many unknown tokens came: this one is asked about later. The text is for the sender."""


class Answered(Protocol):
    """Hears of each question whether the API server answered it."""

    def __call__(self, *, well: bool) -> None: ...


class Unseen(Busy):
    """The pod that the token names is not known here: not yet, or not any more."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The pod a token is bound to."""

    uid: str
    namespace: str = ""
    """Of its service account, which is the pod's; empty where the review does not say."""


@dataclass(slots=True)
class _Good:
    """The tokens of one pod that were good, with when each is to be asked about again."""

    pod: PodIdentity
    questions: RateBudget
    """While the API server cannot be asked, a sidecar that tries again must not ask each time."""
    until: OrderedDict[bytes, float]


class TokenReviewer:
    """Asks the API server about tokens, and remembers its answers for a while."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        audience: str,
        answered: Answered | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._audience = audience
        self._answered = answered
        self._good: OrderedDict[str, _Good] = OrderedDict()
        self._pods: dict[bytes, str] = {}
        """By token: whose it is, for those in `_good`."""
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._strangers = RateBudget(clock, QUESTIONS_PER_SECOND, QUESTIONS_AT_ONCE)

    def knows(self, token: str) -> bool:
        """Whether the token was good when it was last asked about."""
        return _key(token) in self._pods

    async def pod_of(self, token: str) -> PodIdentity | None:
        """The pod the token is bound to; None if it is not valid for us, or bound to none.

        Raises:
            ApiError: the API server could not be asked.
            Busy: it is not asked now.
        """
        key, now = _key(token), self._clock.monotonic()
        known = self._good.get(self._pods.get(key, ""))
        if known is not None and known.until[key] > now:
            self._good.move_to_end(known.pod.uid)
            return known.pod
        if self._refused.get(key, now) > now:
            return None
        if (self._strangers if known is None else known.questions).take():
            raise Busy("too many tokens are waiting for their review: try again")
        pod = await self._ask(token)
        self._remember(key, pod)
        return pod

    async def _ask(self, token: str) -> PodIdentity | None:
        review = {
            "apiVersion": TOKENREVIEWS.api_version,
            "kind": TOKENREVIEWS.kind,
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            answer = await self._client.create(TOKENREVIEWS, review)
        except ApiError:
            self._tell(well=False)
            raise
        self._tell(well=True)
        return _pod_in(answer.object.get("status") or {}, self._audience)

    def _tell(self, *, well: bool) -> None:
        if self._answered is not None:
            self._answered(well=well)

    def _remember(self, key: bytes, pod: PodIdentity | None) -> None:
        now = self._clock.monotonic()
        self._forget(key)
        if pod is None:
            self._refused[key] = now + REFUSED_SECONDS
            while len(self._refused) > MAX_REFUSED:
                self._refused.popitem(last=False)
            return
        questions = RateBudget(self._clock, OF_ONE_POD_PER_SECOND, OF_ONE_POD_AT_ONCE)
        good = self._good.setdefault(pod.uid, _Good(pod, questions, OrderedDict()))
        good.until[key], self._pods[key] = now + CACHE_SECONDS, pod.uid
        self._good.move_to_end(pod.uid)
        while len(good.until) > TOKENS_PER_POD:
            self._forget(next(iter(good.until)))
        while len(self._good) > MAX_PODS:
            for one in list(next(iter(self._good.values())).until):
                self._forget(one)

    def _forget(self, key: bytes) -> None:
        """Forget what is known of a token, good or bad."""
        self._refused.pop(key, None)
        uid = self._pods.pop(key, None)
        if uid is not None:
            del self._good[uid].until[key]
            if not self._good[uid].until:
                del self._good[uid]


def _key(token: str) -> bytes:
    # A hash: tokens are secrets, and of any length.
    return sha256(token.encode()).digest()


def _pod_in(status: Mapping[str, Any], audience: str) -> PodIdentity | None:
    # A server that ignores audiences says so by leaving them out: its word is not enough.
    if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    uids: list[str] = (user.get("extra") or {}).get(_EXTRA_POD_UID) or []
    if len(uids) != 1 or not uids[0]:
        return None
    return PodIdentity(uid=uids[0], namespace=_namespace(user.get("username") or ""))


def _namespace(username: str) -> str:
    namespace, _, name = username.removeprefix(_ACCOUNT).partition(":")
    return namespace if username.startswith(_ACCOUNT) and name else ""
