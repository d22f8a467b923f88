"""Tokens from a stranger: the API server is not asked about what cannot be a pod's of ours."""

from typing import Any

import pytest
from kit.clock import EPOCH, FakeClock, in_fake_time
from kit.tokens import a_token, encoded
from spot_operator.control.client import Client, Created
from spot_operator.control.resource import Resource
from spot_operator.reports import screening
from spot_operator.reports.claims import Claims, claims_of
from spot_operator.reports.identity import Busy, PodIdentity, TokenReviewer, Unseen
from spot_operator.reports.screening import Screen

Json = dict[str, Any]

AUDIENCE = "spottraining.dev/reports"
NOW = EPOCH.timestamp()
HEAD = encoded({"alg": "RS256"})


class Reviews:
    """An API server that takes what is signed."""

    def __init__(self) -> None:
        self.asked = 0

    async def create(self, resource: Resource, body: Json) -> Created:
        self.asked += 1
        claims = claims_of(body["spec"]["token"])
        if claims is None or not body["spec"]["token"].endswith(encoded("signed")):
            return Created({"status": {"authenticated": False}}, ())
        name = f"system:serviceaccount:{claims.namespace}:default"
        extra = {"authentication.kubernetes.io/pod-uid": [claims.pod_uid]}
        user = {"username": name, "extra": extra}
        status = {"authenticated": True, "audiences": [AUDIENCE], "user": user}
        return Created({"status": status}, ())


class Rig:
    def __init__(self, clock: FakeClock) -> None:
        self.reviews = Reviews()
        self.pods = {("pod-1", "research"), ("pod-2", "research")}
        client: Client = self.reviews  # type: ignore[assignment]  # only `create` is used
        self.screen = Screen(
            TokenReviewer(client, clock, AUDIENCE),
            clock,
            AUDIENCE,
            lambda uid, namespace: (uid, namespace) in self.pods,
        )

    async def answer(self, token: str) -> PodIdentity | type[Busy] | None:
        try:
            return await self.screen.pod_of(token)
        except Busy as busy:
            return type(busy)


def in_a_rig(token: str) -> tuple[PodIdentity | type[Busy] | None, int]:
    async def scenario(clock: FakeClock) -> tuple[PodIdentity | type[Busy] | None, int]:
        rig = Rig(clock)
        return await rig.answer(token), rig.reviews.asked

    return in_fake_time(scenario)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b",
        "a.b.c.d",
        "..",
        "\N{SNOWMAN}.b.c",
        f"{HEAD}.!!!.c",
        f"{HEAD}.{encoded('not json')}.c",
        f"{HEAD}.{encoded('[]')}.c",
        f"{HEAD}.{encoded('[' * 4000)}.c",
        f"{HEAD}.{encoded('1e999')}.c",
        "x" * 100_000,
        a_token(signature="s" * 9000),
        a_token(audience="https://kubernetes.default.svc"),
        a_token(audience=["vault", "sts.amazonaws.com"]),
        a_token(audience=[]),
        a_token(claims={"aud": None}),
        a_token(audience=[AUDIENCE, 7]),
        a_token(expires=NOW - 2 * 86_400),
        a_token(claims={"exp": "soon"}),
        a_token(claims={"exp": True}),
        a_token(claims={"exp": None}),
        a_token(claims={"kubernetes.io": None}),
        a_token(claims={"kubernetes.io": {"namespace": "research"}}),
        a_token(claims={"kubernetes.io": {"namespace": "research", "pod": "pod-1"}}),
        a_token(claims={"kubernetes.io": {"namespace": "research", "pod": {"uid": ""}}}),
        a_token(claims={"kubernetes.io": {"namespace": 7, "pod": {"uid": "pod-1"}}}),
        a_token(claims={"kubernetes.io": {"namespace": "research", "node": {"uid": "pod-1"}}}),
    ],
    ids=lambda token: token[:12] or "empty",
)
def test_refused_unasked(token: str) -> None:
    assert in_a_rig(token) == (None, 0)


@pytest.mark.parametrize("token", [a_token("pod-9"), a_token("pod-1", "evil")])
def test_a_pod_that_is_not_seen_here_costs_no_review(token: str) -> None:
    assert in_a_rig(token) == (Unseen, 0)


@pytest.mark.parametrize(
    "token",
    [
        a_token(),
        a_token(audience=["other", AUDIENCE]),
        # Our clock may be wrong by hours: the API server decides.
        a_token(expires=NOW - 3600),
    ],
)
def test_the_token_of_a_pod_of_ours_is_asked_about(token: str) -> None:
    assert in_a_rig(token) == (PodIdentity("pod-1", "research"), 1)


def test_forged_tokens_in_a_pods_name_cost_a_few_reviews_and_do_not_silence_it() -> None:
    """The uid of a pod is no secret: whoever may read it can put it into any number of tokens."""

    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        honest = PodIdentity("pod-1", "research")
        assert await rig.answer(a_token()) == honest
        for second in range(600):
            for number in range(10):
                await rig.answer(a_token(signature=f"forged {second} {number}"))
            if second % 15 == 0:
                assert await rig.answer(a_token()) == honest
                assert await rig.answer(a_token("pod-2")) == PodIdentity("pod-2", "research")
            await clock.sleep(1)
        renewals = 2 * 6
        bound = screening.PER_POD_AT_ONCE + 600 * screening.PER_POD_SECOND
        assert rig.reviews.asked <= renewals + bound

    in_fake_time(scenario)


def test_a_pod_that_was_force_deleted_is_still_known_for_a_while() -> None:
    """So it is told that its attempt is over (409)."""

    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        await rig.answer(a_token())
        rig.pods.clear()
        assert await rig.answer(a_token()) == PodIdentity("pod-1", "research")
        assert rig.reviews.asked == 1

    in_fake_time(scenario)


def test_what_is_remembered_of_pods_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "MAX_PODS", 10)

    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        rig.pods |= {(f"many-{number}", "research") for number in range(100)}
        for number in range(100):
            await rig.answer(a_token(f"many-{number}", signature="forged"))
        assert len(rig.screen._budgets) == 10

    in_fake_time(scenario)


def test_claims_are_read_as_the_server_writes_them() -> None:
    found = claims_of(a_token("u", "n", audience=["a", "b"], expires=12.5))
    assert found == Claims(("a", "b"), 12.5, "n", "u")
