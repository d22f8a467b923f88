"""Whose a token is: asked once, remembered for a while, never longer."""

from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from spot_operator.control.client import Client, Created
from spot_operator.control.errors import Unavailable
from spot_operator.control.resource import Resource
from spot_operator.reports.identity import PodIdentity, TokenReviewer

Json = dict[str, Any]

AUDIENCE = "spottraining.dev/reports"


def verdict(**status: Any) -> Json:
    return {
        "authenticated": True,
        "audiences": [AUDIENCE],
        "user": {"extra": {"authentication.kubernetes.io/pod-uid": ["pod-1"]}},
        **status,
    }


class Reviews:
    """The part of the API server that reviews tokens."""

    def __init__(self, status: Json) -> None:
        self.status = status
        self.asked: list[Json] = []
        self.broken = False

    async def create(self, resource: Resource, body: Json) -> Created:
        assert resource.plural == "tokenreviews"
        self.asked.append(body["spec"])
        if self.broken:
            raise Unavailable("reset")
        return Created({**body, "status": self.status}, ())


def reviewer(reviews: Reviews, clock: FakeClock) -> TokenReviewer:
    client: Client = reviews  # type: ignore[assignment]  # only `create` is used
    return TokenReviewer(client, clock, AUDIENCE)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (verdict(), PodIdentity("pod-1")),
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
