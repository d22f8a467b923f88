"""How soon a new attempt can train: from the grant until the state is in the objects."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from kit.stores import S3Server

from benchmarks.checkpoint.plan import Plan
from benchmarks.checkpoint.pods import a_granted_pod, a_trainer, a_waiting_pod
from benchmarks.checkpoint.sink import a_sink, authority
from benchmarks.kit.benchmark import Circumstances, Section, Values, least
from benchmarks.kit.process import MIB
from benchmarks.kit.rounds import interleaved

SOONER = {"http": 2.5, "https": 1.5}
KIND = "transformer"
KEY = "by-torch.pt"


def sections(around: Circumstances, plan: Plan, sink: Path) -> Iterator[Section]:
    """Both ways of each scheme, every time in new processes."""
    seconds = Values()
    with contextlib.ExitStack() as stack:
        servers = {
            scheme: stack.enter_context(
                a_sink(sink, around.memory / f"kept-{scheme}", tls=scheme == "https", keep=True)
            )
            for scheme in SOONER
        }
        for scheme, server in servers.items():
            _fill(around, plan, f"filled-{scheme}", server)
        attempts = itertools.count(2)
        names = [f"{who} {scheme}" for scheme in SOONER for who in ("ours", "torch")]
        for _, name in interleaved(names, plan.rounds, seed=around.seed, gate=around.gate):
            who, _, scheme = name.partition(" ")
            server = servers[scheme]
            if who == "ours":
                seconds.add(name, _ours(around, plan, server, next(attempts)))
            else:
                seconds.add(name, _torch(around, plan, server))
    how = (
        "from the grant until spot.resume() has returned (claim, choice, download, every byte "
        "hashed, load, digests of what the trainer holds) beside download_file, torch.load and "
        "load_state_dict; new processes each time, torch and the model ready before"
    )
    yield Section(
        f"Restoring {plan.state} MiB",
        [
            least(
                f"restore, {scheme}: torch / ours",
                seconds.ratio(f"torch {scheme}", f"ours {scheme}"),
                limit,
                how,
            )
            for scheme, limit in SOONER.items()
        ],
        "\n".join(
            ["| who, from | seconds |", "|---|---|"]
            + [f"| {name} | {seconds.spread(name)} |" for name in seconds.of]
        ),
    )


def _fill(around: Circumstances, plan: Plan, name: str, server: S3Server) -> None:
    """One checkpoint of ours, and one file of torch.save with the same state."""
    state = (KIND, plan.state)
    with a_granted_pod(around, name, state=state, arenas=1, server=server) as pod:
        pod.save()
        file = around.memory / KEY
        pod.trainer.ask("store_for_torch", key=KEY, file=str(file), **_at(server))


def _ours(around: Circumstances, plan: Plan, server: S3Server, attempt: int) -> float:
    name = f"restored-{attempt}"
    staging = (plan.state + plan.state // 8 + 8) * MIB
    with a_waiting_pod(around, name, staging=staging, attempt=attempt, server=server) as pod:
        pod.trainer.ask("build", kind=KIND, mib=plan.state, moments=False)
        began = time.monotonic()
        pod.folder.grant()
        found = pod.trainer.ask("resume")
        if found["step"] != 1:
            raise RuntimeError(f"step {found['step']} was restored, 1 was saved")
        return float(found["ready"] - began)


def _torch(around: Circumstances, plan: Plan, server: S3Server) -> float:
    with a_trainer(around, around.memory / "by-torch") as trainer:
        trainer.ask("build", kind=KIND, mib=plan.state, moments=False)
        file = around.memory / "downloaded.pt"
        found = trainer.ask("load_by_torch", key=KEY, file=str(file), **_at(server))
        return float(found["seconds"])


def _at(server: S3Server) -> dict[str, str | None]:
    ca = authority(server)
    return {"url": server.url, "ca": str(ca) if ca else None}
