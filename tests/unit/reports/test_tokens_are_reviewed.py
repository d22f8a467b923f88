"""Whose a token is: asked once, remembered for a while, never longer."""

from collections.abc import Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from spot_operator.control.client import Client, Created
from spot_operator.control.errors import Unavailable
from spot_operator.control.resource import Resource
from spot_operator.reports import identity
from spot_operator.reports.identity import Busy, PodIdentity, TokenReviewer

Json = dict[str, Any]

AUDIENCE = "spottraining.dev/reports"


def verdict(**status: Any) -> Json:
    return {
        "authenticated": True,
        "audiences": [AUDIENCE],
        "user": {"extra": {"authentication.kubernetes.io/pod-uid": ["pod-1"]}},
        **status,
    }


def user(uid: str, name: str = "") -> Json:
    return {"username": name, "extra": {"authentication.kubernetes.io/pod-uid": [uid]}}


class Reviews:
    """The part of the API server that reviews tokens: with one answer, or one for each token."""

    def __init__(self, status: Json | Callable[[str], Json]) -> None:
        self.status = status
        self.asked: list[Json] = []
        self.broken = False

    async def create(self, resource: Resource, body: Json) -> Created:
        assert resource.plural == "tokenreviews"
        self.asked.append(body["spec"])
        if self.broken:
            raise Unavailable("reset")
        status = self.status
        found = status(body["spec"]["token"]) if callable(status) else status
        return Created({**body, "status": found}, ())

    def about(self, token: str) -> int:
        return sum(one["token"] == token for one in self.asked)


def reviewer(reviews: Reviews, clock: FakeClock) -> TokenReviewer:
    client: Client = reviews  # type: ignore[assignment]  # only `create` is used
    return TokenReviewer(client, clock, AUDIENCE)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (verdict(), PodIdentity("pod-1")),
        (verdict(user=user("pod-1", "system:serviceaccount:evil:x")), PodIdentity("pod-1", "evil")),
        (verdict(user=user("pod-1", "system:serviceaccount:evil:")), PodIdentity("pod-1")),
        (verdict(user=user("pod-1", "alice")), PodIdentity("pod-1")),
        (verdict(authenticated=False), None),
        ({"error": "token expired"}, None),
        (verdict(audiences=[]), None),
        (verdict(audiences=["https://kubernetes.default.svc"]), None),
        (verdict(user={"username": "system:serviceaccount:a:b"}), None),
        (verdict(user={"extra": {"authentication.kubernetes.io/pod-uid": []}}), None),
        (verdict(user={"extra": {"authentication.kubernetes.io/pod-uid": ["a", "b"]}}), None),
    ],
)
def test_only_a_token_for_us_bound_to_one_pod_will_do(
    status: Json, expected: PodIdentity | None
) -> None:
    async def scenario(clock: FakeClock) -> None:
        reviews = Reviews(status)
        assert await reviewer(reviews, clock).pod_of("t") == expected
        assert reviews.asked == [{"token": "t", "audiences": [AUDIENCE]}]

    in_fake_time(scenario)


@pytest.mark.parametrize(
    ("status", "seconds"),
    [(verdict(), 120), (verdict(authenticated=False), 10)],
    ids=["valid", "refused"],
)
def test_an_answer_is_remembered_for_a_while(status: Json, seconds: int) -> None:
    async def scenario(clock: FakeClock) -> None:
        reviews = Reviews(status)
        tokens = reviewer(reviews, clock)
        await tokens.pod_of("t")
        await clock.sleep(seconds - 1)
        await tokens.pod_of("t")
        assert len(reviews.asked) == 1
        await clock.sleep(2)
        await tokens.pod_of("t")
        assert len(reviews.asked) == 2
        await tokens.pod_of("another")
        assert len(reviews.asked) == 3

    in_fake_time(scenario)


def test_no_answer_is_not_remembered() -> None:
    async def scenario(clock: FakeClock) -> None:
        reviews = Reviews(verdict())
        tokens = reviewer(reviews, clock)
        reviews.broken = True
        with pytest.raises(Unavailable):
            await tokens.pod_of("t")
        reviews.broken = False
        assert await tokens.pod_of("t") == PodIdentity("pod-1")

    in_fake_time(scenario)


def of_pods(token: str) -> Json:
    """`good-X-n` is the n-th token of pod X; nothing else is any good."""
    if not token.startswith("good-"):
        return {"authenticated": False}
    return verdict(user=user(token.split("-")[1], "system:serviceaccount:research:default"))


async def answer_of(tokens: TokenReviewer, token: str) -> PodIdentity | Busy | None:
    try:
        return await tokens.pod_of(token)
    except Busy as busy:
        return busy


def test_a_flood_of_random_tokens_costs_little_and_evicts_nobody() -> None:
    """A stranger sends 30,000 tokens in a minute while a pod reports every 15 s."""

    async def scenario(clock: FakeClock) -> None:
        reviews = Reviews(of_pods)
        tokens = reviewer(reviews, clock)
        ours = PodIdentity("a", "research")
        assert await tokens.pod_of("good-a-1") == ours
        for number in range(30_000):
            await answer_of(tokens, f"random-{number}")
            if number % 500 == 0:
                await clock.sleep(1)
                assert await tokens.pod_of("good-a-1") == ours
        assert reviews.about("good-a-1") == 1
        bound = identity.QUESTIONS_AT_ONCE + 61 * identity.QUESTIONS_PER_SECOND
        assert len(reviews.asked) <= bound + 1
        assert len(tokens._refused) <= identity.MAX_REFUSED

    in_fake_time(scenario)


def test_a_token_that_was_good_is_asked_about_again_amid_a_flood() -> None:
    async def scenario(clock: FakeClock) -> None:
        reviews = Reviews(of_pods)
        tokens = reviewer(reviews, clock)
        await tokens.pod_of("good-a-1")
        await clock.sleep(121)
        for number in range(5_000):
            await answer_of(tokens, f"random-{number}")
        assert isinstance(await answer_of(tokens, "random-x"), Busy)
        assert await tokens.pod_of("good-a-1") == PodIdentity("a", "research")
        assert reviews.about("good-a-1") == 2
        await clock.sleep(1)
        assert await tokens.pod_of("good-b-1") == PodIdentity("b", "research")

    in_fake_time(scenario)


def test_who_makes_many_good_tokens_of_his_pod_forgets_only_his_own() -> None:
    """Whoever may create tokens of a service account has as many as he likes."""

    async def scenario(clock: FakeClock) -> None:
        reviews = Reviews(of_pods)
        tokens = reviewer(reviews, clock)
        await tokens.pod_of("good-a-1")
        for number in range(1_000):
            await answer_of(tokens, f"good-evil-{number}")
        await tokens.pod_of("good-a-1")
        assert reviews.about("good-a-1") == 1
        assert len(tokens._pods) <= 1 + identity.TOKENS_PER_POD

    in_fake_time(scenario)


def test_memory_is_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "MAX_PODS", 5)
    monkeypatch.setattr(identity, "MAX_REFUSED", 7)

    async def scenario(clock: FakeClock) -> None:
        tokens = reviewer(Reviews(of_pods), clock)
        for number in range(300):
            await answer_of(tokens, f"good-{number}-1")
            await answer_of(tokens, f"random-{number}")
            await clock.sleep(0.1)
        assert (len(tokens._good), len(tokens._pods), len(tokens._refused)) == (5, 5, 7)
        assert await tokens.pod_of("good-299-1") == PodIdentity("299", "research")

    in_fake_time(scenario)


def test_a_token_that_became_bad_is_forgotten_as_good() -> None:
    async def scenario(clock: FakeClock) -> None:
        reviews = Reviews(of_pods)
        tokens = reviewer(reviews, clock)
        await tokens.pod_of("good-a-1")
        reviews.status = verdict(authenticated=False)
        await clock.sleep(121)
        assert await tokens.pod_of("good-a-1") is None
        assert not tokens.knows("good-a-1")
        assert tokens._good == {}

    in_fake_time(scenario)


def test_a_server_that_does_not_answer_is_not_asked_again_at_each_try() -> None:
    async def scenario(clock: FakeClock) -> None:
        reviews = Reviews(of_pods)
        tokens = reviewer(reviews, clock)
        await tokens.pod_of("good-a-1")
        await clock.sleep(121)
        reviews.broken = True
        for _ in range(50):
            with pytest.raises((Unavailable, Busy)):
                await tokens.pod_of("good-a-1")
        assert reviews.about("good-a-1") <= 1 + identity.OF_ONE_POD_AT_ONCE
        reviews.broken = False
        await clock.sleep(2)
        assert await tokens.pod_of("good-a-1") == PodIdentity("a", "research")

    in_fake_time(scenario)
