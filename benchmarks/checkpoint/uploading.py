"""How fast a snapshot becomes a checkpoint, and what of the processors that takes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.sidecar import BUCKET
from kit.stores import S3Server, s3_server

from benchmarks.checkpoint.plan import Plan
from benchmarks.checkpoint.pods import Pod, a_granted_pod
from benchmarks.checkpoint.sink import a_sink, authority
from benchmarks.kit.benchmark import Circumstances, Row, Section, Values, least, most, told
from benchmarks.kit.process import MIB, cpu_seconds
from benchmarks.kit.rounds import interleaved
from benchmarks.kit.worker import Json, Worker, a_worker

GB = 1e9
FASTER = {"http": 3.5, "https": 1.5}
OF_THE_CPU = 0.5


@dataclass(frozen=True, slots=True)
class Ends:
    """Who sends what to which server."""

    pods: dict[str, Pod]
    servers: dict[str, S3Server]
    boto3: Worker
    file: Path
    size: int


def sections(around: Circumstances, plan: Plan, sink: Path) -> Iterator[Section]:
    """The null sink over http and TLS; a real server beside it."""
    with contextlib.ExitStack() as stack:
        servers = {
            "http": stack.enter_context(a_sink(sink, around.memory / "sink-http")),
            "https": stack.enter_context(a_sink(sink, around.memory / "sink-https", tls=True)),
            "versitygw": stack.enter_context(_versitygw(around.disk / "versitygw")),
        }
        ends = stack.enter_context(_ends(around, plan, servers))
        speed, cpu = Values(), Values()
        names = ["sendfile", *(f"{who} {to}" for to in ("http", "https") for who in ACTS)]
        _measure(around, names, plan.rounds, ends, speed, cpu)
        _measure(around, [f"{who} versitygw" for who in ACTS], plan.few, ends, speed, cpu)
    yield Section(
        f"Uploading {plan.state} MiB",
        [row for scheme in FASTER for row in _rows(scheme, speed, cpu)] + _others(speed),
        _table(speed, cpu),
    )


def _ours(ends: Ends, to: str) -> tuple[float, float]:
    """Seconds from the hand-over to the commit, and what the sidecar computed meanwhile."""
    pod = ends.pods[to]
    before = cpu_seconds(pod.sidecar.process.pid)
    found = pod.save()
    return found["background"], cpu_seconds(pod.sidecar.process.pid) - before


def _boto3(ends: Ends, to: str) -> tuple[float, float]:
    server = ends.servers[to]
    ca = authority(server)
    found: Json = ends.boto3.ask(
        "upload_file", url=server.url, ca=str(ca) if ca else None, file=str(ends.file)
    )
    return found["seconds"], found["cpu"]


ACTS: dict[str, Callable[[Ends, str], tuple[float, float]]] = {"ours": _ours, "boto3": _boto3}


def _sendfile(ends: Ends) -> tuple[float, float]:
    found = ends.boto3.ask("sendfile", port=ends.servers["http"].port, file=str(ends.file))
    return found["seconds"], found["cpu"]


def _measure(
    around: Circumstances, names: list[str], rounds: int, ends: Ends, speed: Values, cpu: Values
) -> None:
    for _, name in interleaved(names, rounds, seed=around.seed, gate=around.gate):
        who, _, to = name.partition(" ")
        seconds, computed = ACTS[who](ends, to) if to else _sendfile(ends)
        speed.add(name, ends.size / seconds / GB)
        cpu.add(name, computed / ends.size * GB)


@contextlib.contextmanager
def _ends(around: Circumstances, plan: Plan, servers: dict[str, S3Server]) -> Iterator[Ends]:
    file = around.memory / "uploaded"
    piece = os.urandom(MIB)
    with file.open("wb") as opened:
        for _ in range(plan.state):
            opened.write(piece)
    with contextlib.ExitStack() as stack:
        worker = a_worker("benchmarks.checkpoint.client", around.root, around.memory / "client.log")
        pods = {}
        for to, server in servers.items():
            pod = a_granted_pod(
                around, f"pod-{to}", state=("transformer", plan.state), arenas=1, server=server
            )
            pods[to] = stack.enter_context(pod)
            pods[to].save()  # the first one allocates the arena and opens the connections
        yield Ends(pods, servers, stack.enter_context(worker), file, plan.state * MIB)
    file.unlink()


@contextlib.contextmanager
def _versitygw(folder: Path) -> Iterator[S3Server]:
    folder.mkdir()
    with s3_server(folder) as server:
        server.make_bucket(BUCKET)
        yield server


def _rows(scheme: str, speed: Values, cpu: Values) -> list[Row]:
    ours, theirs = f"ours {scheme}", f"boto3 {scheme}"
    how = (
        f"sidecar, from the hand-over to the commit: hashing, parts, receipt, manifest; beside "
        f"upload_file with its defaults, of a file in memory; both to the null sink by {scheme}"
    )
    spent = "CPU of the sidecar (user and system) beside that of the process of upload_file"
    return [
        least(f"upload, {scheme}: ours / boto3", speed.ratio(ours, theirs), FASTER[scheme], how),
        most(f"CPU s/GB, {scheme}: ours / boto3", cpu.ratio(ours, theirs), OF_THE_CPU, spent),
    ]


def _others(speed: Values) -> list[Row]:
    floor = "eight connections, no checksum, no signature, the same sink"
    return [
        told("upload, http: ours / sendfile", speed.ratio("ours http", "sendfile"), "x", floor),
        told(
            "upload, versitygw: ours / boto3", speed.ratio("ours versitygw", "boto3 versitygw"),
            "x", "a real server that hashes and writes to disk, on the same two processors",
        ),
    ]  # fmt: skip


def _table(speed: Values, cpu: Values) -> str:
    lines = [
        "Medians (least-greatest) over the rounds; the sink and the client share the machine.",
        "",
        "| who, to | speed | CPU s/GB |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {speed.spread(name, 'GB/s')} | {cpu.spread(name)} |" for name in speed.of
    ]
    return "\n".join(lines)
