"""One job that trains while its store is out, then one attempt that resumes what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kit.s3_proxy import Answer, LoseRequest, S3Proxy, s3_proxy
from kit.sidecar import BUCKET, LINEAGE, PodFolder, a_pod, eventually, frozen, lineage_store
from kit.stores import S3Server, s3_server
from kit.trainer_process import TrainerProcess, a_trainer
from spot_training.checkpoint import keys

Json = dict[str, Any]
Strike = Callable[[S3Server, S3Proxy], "contextlib.AbstractContextManager[Any]"]

STEP_SECONDS = 0.1
INTERVAL = 3.0
"""Seconds between two checkpoints while all is well."""
CALM_SECONDS = 6.0
LOOK_SECONDS = 0.1
CATCH_UP_SECONDS = 120.0
"""How long the next commit is waited for at most."""


@contextlib.contextmanager
def faulty(proxy: S3Proxy, fault: Any) -> Iterator[None]:
    """Every request meets this fault."""
    proxy.fault = lambda _asked: fault
    try:
        yield
    finally:
        proxy.fault = lambda _asked: None


KINDS: dict[str, tuple[Strike, str]] = {
    "silent": (lambda server, _: frozen(server), "StoreUnreachable"),
    "connections reset": (lambda _, proxy: faulty(proxy, LoseRequest()), "StoreUnreachable"),
    "503": (lambda _, proxy: faulty(proxy, Answer(503, "SlowDown")), "StoreUnreachable"),
    "403": (lambda _, proxy: faulty(proxy, Answer(403, "AccessDenied")), "StoreDenied"),
}
"""What becomes of the store, and the problem that must be told."""


@dataclass(slots=True)
class Account:
    """What was seen; seconds where nothing else is said."""

    kind: str
    out_seconds: float = 0.0
    steps_while_out: int = 0
    share_of_calm_pace: float = 0.0
    longest_stand_still: float = 0.0
    told_after: float = -1.0
    """From the strike until the operator was told the problem; -1: never."""
    caught_up_after: float = -1.0
    """From the end of the outage until the newest step of then, or a later one, is committed."""
    problem_gone: bool = False
    quarantined: int = 0
    resumed_at: int = -1
    newest: int = -1
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> Json:
        return asdict(self)


def live(folder: Path, kind: str, *, seconds: float) -> Account:
    """A job whose store is out for so long; every promise that breaks is in `wrong`."""
    account = Account(kind)
    with s3_server(folder) as server, s3_proxy(server) as proxy:
        server.make_bucket(BUCKET)
        _train_through(account, folder / "first", server, proxy, seconds)
        store = lineage_store(server)
        account.quarantined = len(store.list(keys.TOMBSTONES))
        account.newest = _newest(server)
        store.close()
        _resume(account, folder / "second", server)
    _judge(account)
    return account


def _train_through(
    account: Account, folder: Path, server: S3Server, proxy: S3Proxy, seconds: float
) -> None:
    strike, problem = KINDS[account.kind]
    with ExitStack() as stack:
        pod = stack.enter_context(a_pod(folder, s3=server, interval=INTERVAL))
        pod.config["store"]["s3"]["endpointURL"] = proxy.url
        pod.grant()
        stack.enter_context(pod.sidecar())
        trainer = stack.enter_context(a_trainer(pod, steps=10**6, pause=STEP_SECONDS))
        eventually("a commit", lambda: _newest(server) > 0, seconds=60)
        calm = _pace(trainer, CALM_SECONDS)
        with strike(server, proxy):
            began, before = time.monotonic(), len(trainer.steps())
            _watch(account, trainer, pod, problem, seconds)
            account.out_seconds = time.monotonic() - began
            account.steps_while_out = len(trainer.steps()) - before
        account.share_of_calm_pace = account.steps_while_out / account.out_seconds / calm
        _catch_up(account, trainer, pod, server)


def _watch(
    account: Account, trainer: TrainerProcess, pod: PodFolder, problem: str, seconds: float
) -> None:
    began = moved = time.monotonic()
    steps = len(trainer.steps())
    while (now := time.monotonic()) < began + seconds:
        if (made := len(trainer.steps())) > steps:
            steps, moved = made, now
        account.longest_stand_still = max(account.longest_stand_still, now - moved)
        if account.told_after < 0 and _problem(pod) == problem:
            account.told_after = now - began
        time.sleep(LOOK_SECONDS)


def _pace(trainer: TrainerProcess, seconds: float) -> float:
    """Steps a second while all is well."""
    began, before = time.monotonic(), len(trainer.steps())
    time.sleep(seconds)
    return (len(trainer.steps()) - before) / (time.monotonic() - began)


def _catch_up(account: Account, trainer: TrainerProcess, pod: PodFolder, server: S3Server) -> None:
    began, then = time.monotonic(), trainer.steps()[-1]
    while time.monotonic() < began + CATCH_UP_SECONDS:
        if _newest(server) >= then:
            account.caught_up_after = time.monotonic() - began
            account.problem_gone = bool(
                eventually("the end of the problem", lambda: _problem(pod) is None, seconds=60)
            )
            return
        time.sleep(LOOK_SECONDS)


def _resume(account: Account, folder: Path, server: S3Server) -> None:
    """The pod before is gone with what it had in memory: what does the next one begin with?"""
    with a_pod(folder, s3=server, attempt=2) as pod, pod.sidecar():
        pod.grant()
        with a_trainer(pod, steps=10**6) as trainer:
            lines = eventually("the beginning of attempt 2", trainer.lines, seconds=60)
    account.resumed_at = lines[0]["step"]


def _newest(server: S3Server) -> int:
    """The step of the newest commit, by the files of the bucket: the server may be out."""
    folder = server.object_path(BUCKET, keys.COMMITS, LINEAGE)
    names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    found = keys.parse_commit(f"{keys.COMMITS}{names[0]}") if names else None
    return found.step if found else -1


def _problem(pod: PodFolder) -> str | None:
    reports = pod.operator.reports if pod.operator else ()
    found = reports[-1]["problem"] if reports else None
    return found["kind"] if found else None


def _judge(account: Account) -> None:
    promises = {
        "training stood still": account.longest_stand_still < 5.0,
        "training went on slower than half": account.share_of_calm_pace > 0.5,
        "the problem was never told": account.told_after >= 0,
        "no commit caught up": account.caught_up_after >= 0,
        "the problem was still told afterwards": account.problem_gone,
        "something was quarantined": account.quarantined == 0,
        "the next attempt did not resume the newest": account.resumed_at == account.newest > 0,
    }
    account.wrong += [f"{account.kind}: {what}" for what, kept in promises.items() if not kept]
