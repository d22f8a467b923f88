"""Every answer of the reports server, over real HTTPS on the loopback."""

import json
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from kit.reports import a_report_body
from spot_operator.control.clock import SystemClock
from spot_operator.control.errors import NotLeader, Unavailable
from spot_operator.control.rate import RateBudgets
from spot_operator.reports.authority import advance, issue
from spot_operator.reports.book import ONCE, ReportBook
from spot_operator.reports.identity import Busy, PodIdentity, Unseen
from spot_operator.reports.receiver import KnownPod, Receiver
from spot_operator.reports.schema import Report
from spot_operator.reports.server import ReportsServer

Json = dict[str, Any]

TOKEN = "token-of-pod-1"
OURS = KnownPod("research", "digits", "uid-of-digits", 1, 0)


@dataclass
class FakeWorld:
    """What the operator knows: one pod of attempt 1 of one job, unless told otherwise."""

    leads: bool = True
    pods: dict[str, KnownPod] = field(default_factory=lambda: {"pod-1": OURS})
    attempts: dict[str, int] = field(default_factory=lambda: {"uid-of-digits": 1})

    def leading(self) -> bool:
        return self.leads

    def pod(self, uid: str) -> KnownPod | None:
        return self.pods.get(uid)

    def attempt_of(self, job_uid: str, namespace: str) -> int | None:
        return self.attempts.get(job_uid) if namespace == OURS.namespace else None


class FakeReviewer:
    """Takes `token-of-X` for a token bound to pod X, `token-of-X@Y` for one of namespace Y."""

    async def pod_of(self, token: str) -> PodIdentity | None:
        if token == "unlucky":
            raise Unavailable("no answer")
        if token == "deposed":
            raise NotLeader("this process does not lead: nothing was written")
        prefix = "token-of-"
        if token == "unseen":
            raise Unseen("the token's pod is not known here")
        if token == "busy":
            raise Busy("too many tokens")
        if not token.startswith(prefix):
            return None
        uid, _, namespace = token.removeprefix(prefix).partition("@")
        return PodIdentity(uid, namespace or OURS.namespace)


@dataclass
class Rig:
    """A running server and a client that trusts it."""

    world: FakeWorld
    book: ReportBook
    heard: list[Report]
    url: str
    session: aiohttp.ClientSession

    async def post(self, body: Json | bytes, token: str | None = TOKEN) -> tuple[int, Json]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.session.post(self.url, data=data, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    clock = SystemClock()
    _, authority = advance({}, clock.now())
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = issue(authority, ("localhost",), clock.now())
    load(server_side, pair.key + pair.certificate)
    world, book, heard = FakeWorld(), ReportBook(clock), list[Report]()
    flow = RateBudgets(clock, 1.0, 20, limit=100)
    receiver = Receiver(world, FakeReviewer(), book, heard.append, flow)
    server = ReportsServer(receiver, server_side, host="127.0.0.1", port=0)
    port = await server.start()
    trust = ssl.create_default_context(cadata=authority.bundle)
    # What Python 3.13 does on its own: the certificates must pass it too.
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Rig(world, book, heard, f"https://localhost:{port}/v1/reports", session)
    await server.stop()


def load(context: ssl.SSLContext, pem: bytes) -> None:
    descriptor = os.memfd_create("pair")
    os.write(descriptor, pem)
    context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    os.close(descriptor)


async def test_a_good_report_is_kept_and_acknowledged(rig: Rig) -> None:
    answer = await rig.post(a_report_body(sequence=4))
    assert answer == (200, {"version": 1, "sequence": 4, "acknowledged": True})
    assert [report.sequence for report in rig.heard] == [4]
    assert rig.book.latest("pod-1") == rig.heard[0].model_copy(update=ONCE)


async def test_a_report_sent_twice_is_acknowledged_twice_and_heard_once(rig: Rig) -> None:
    for _ in range(2):
        status, _ = await rig.post(a_report_body(sequence=4))
        assert status == 200
    assert len(rig.heard) == 1


@pytest.mark.parametrize(
    ("body", "token", "status", "says"),
    [
        (a_report_body(), None, 401, "Bearer"),
        (a_report_body(), "", 401, "Bearer"),
        (a_report_body(), "forged", 401, "does not accept"),
        (a_report_body(), "token-of-pod-2", 403, "another pod"),
        (a_report_body(jobUID="uid-of-other"), "token-of-pod-1", 403, "the report says"),
        (a_report_body(namespace="elsewhere"), "token-of-pod-1", 403, "the report says"),
        (a_report_body(job="other"), "token-of-pod-1", 403, "the report says"),
        (a_report_body(rank=3), "token-of-pod-1", 403, "the report says"),
        (a_report_body(attempt=2), "token-of-pod-1", 403, "the report says"),
        (a_report_body(podUID="pod-9"), "token-of-pod-9", 503, "not known"),
        (a_report_body(version=2), "token-of-pod-1", 422, "version"),
        (a_report_body(trainer={"step": 1}), "token-of-pod-1", 422, "trainer.registered"),
        (b"not json", "token-of-pod-1", 422, "JSON"),
        (b"", "token-of-pod-1", 422, "JSON"),
        (b'{"a":"' + b"x" * 300_000 + b'"}', "token-of-pod-1", 413, "bytes"),
        (a_report_body(), "unlucky", 503, "could not be asked"),
        (a_report_body(), "unseen", 503, "not known"),
        (a_report_body(), "busy", 429, "too many tokens"),
        (a_report_body(), "deposed", 503, "does not lead"),
    ],
)
async def test_refusals_say_why(
    rig: Rig, body: Json | bytes, token: str | None, status: int, says: str
) -> None:
    got, answer = await rig.post(body, token)
    assert got == status
    assert says in answer["error"]
    assert rig.heard == []


async def test_a_pod_of_a_former_attempt_is_told_the_current_one(rig: Rig) -> None:
    rig.world.attempts["uid-of-digits"] = 5
    status, answer = await rig.post(a_report_body())
    assert (status, answer["attempt"]) == (409, 5)


async def test_a_pod_that_was_force_deleted_and_lives_on_is_told_so(rig: Rig) -> None:
    rig.world.pods.clear()
    rig.world.attempts["uid-of-digits"] = 2
    status, answer = await rig.post(a_report_body())
    assert (status, answer["attempt"]) == (409, 2)


async def test_who_does_not_lead_takes_nothing(rig: Rig) -> None:
    rig.world.leads = False
    status, answer = await rig.post(a_report_body())
    assert status == 503
    assert "does not lead" in answer["error"]
    assert len(rig.book) == 0


async def test_only_the_one_route_exists(rig: Rig) -> None:
    async with rig.session.get(rig.url) as response:
        assert response.status == 405
    async with rig.session.post(rig.url + "/x") as response:
        assert response.status == 404
