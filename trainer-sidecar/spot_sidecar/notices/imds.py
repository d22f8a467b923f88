"""EC2's instance metadata (IMDSv2): spot interruption and rebalance recommendation.

Protocol: Amazon EC2 User Guide, "Spot Instance interruption notices", "EC2 instance rebalance
recommendations" and "Use IMDSv2". A token is fetched once and reused; 401 means it is no longer
good and is answered with one new one. With a hop limit of 1 (a common default) the token's PUT
times out in a pod: the source then counts as unhealthy and is asked more and more rarely, but never
given up. Never advise raising the hop limit: the operator's own notices reach such pods.
"""

import json
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from spot_sidecar.base.clock import Clock, parse_time
from spot_sidecar.notices.notice import Kind, Notice

__all__ = ["Imds", "read_instance_action", "read_rebalance"]

log = logging.getLogger(__name__)

SOURCE = "imds"
TOKEN_SECONDS = 21600
"""The longest life IMDSv2 grants a token."""
NOTICE_SECONDS = 120
"""EC2's notice before a spot interruption; its `time` is approximate and may slide."""
INSTANCE_ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"
ACTIONS = frozenset({"stop", "hibernate", "terminate"})


class Imds:
    """One metadata service; a notice has the deadline of when it is asked for."""

    name = SOURCE
    silence = "no answer: blocked, or the IMDSv2 hop limit is 1"

    def __init__(self, endpoint: str, clock: Clock) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._clock = clock
        self._token: str | None = None

    async def notices(self, session: aiohttp.ClientSession) -> AsyncIterator[Notice]:
        """Interruption first, then rebalance recommendation; see `Source`."""
        for path, read in (
            (INSTANCE_ACTION, read_instance_action),
            (REBALANCE, read_rebalance),
        ):
            body = await self._ask(session, path)
            if body is not None:
                yield read(body, self._clock.now())

    async def _ask(self, session: aiohttp.ClientSession, path: str) -> str | None:
        """The body at `path`; None when nothing is announced (404)."""
        for _ in range(2):
            token = self._token or await self._new_token(session)
            headers = {"X-aws-ec2-metadata-token": token}
            async with session.get(self._endpoint + path, headers=headers) as answer:
                if answer.status == 404:
                    return None
                if answer.status == 200:
                    return await answer.text()
                if answer.status != 401:
                    raise ValueError(f"{path} answered {answer.status}")
                self._token = None
        raise ValueError(f"{path} answered 401 to a fresh token")

    async def _new_token(self, session: aiohttp.ClientSession) -> str:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
        async with session.put(f"{self._endpoint}/latest/api/token", headers=headers) as answer:
            if answer.status != 200:
                raise ValueError(f"the token request answered {answer.status}")
            self._token = (await answer.text()).strip()
            return self._token


def read_instance_action(body: str, now: datetime) -> Notice:
    """Read the answer of spot/instance-action.

    The deadline is the earlier of its `time` and two minutes from `now`: the node's clock may be
    behind. Where `time` passed longer ago than a node lives then, the clock is ahead, and two
    minutes count as well. Hibernation starts at once.

    Raises:
        ValueError: the answer is not what EC2 documents.
    """
    answer = _object(body)
    action, time = answer.get("action"), answer.get("time")
    if action not in ACTIONS:
        raise ValueError(f"instance-action {body[:100]!r}: action is not one of {sorted(ACTIONS)}")
    announced, promised = parse_time(str(time)), now + timedelta(seconds=NOTICE_SECONDS)
    ahead = now - announced > timedelta(seconds=NOTICE_SECONDS)
    deadline = promised if ahead else min(announced, promised)
    if action == "hibernate":
        deadline = min(deadline, now)
    return Notice(Kind.Preempt, SOURCE, observed_at=now, deadline=deadline, raw=body.strip())


def read_rebalance(body: str, now: datetime) -> Notice:
    """Read the answer of events/recommendations/rebalance: a raised risk, without a deadline.

    Raises:
        ValueError: the answer is not what EC2 documents.
    """
    if "noticeTime" not in _object(body):
        raise ValueError(f"rebalance recommendation {body[:100]!r} has no noticeTime")
    return Notice(Kind.Rebalance, SOURCE, observed_at=now, raw=body.strip())


def _object(body: str) -> dict[str, Any]:
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError(f"{body[:100]!r} is not a JSON object")  # noqa: TRY004 - wrong data
    return answer
