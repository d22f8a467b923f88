"""What a machine can do to a job that no process tree can: one scene after the other."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from campaigns.campaign import Campaign, Figure, Findings, Json, exactly
from campaigns.machine.life import a_world, expected_state, live
from campaigns.machine.scenes import NO_MEMORY, SCENES
from toolchain.layout import cache_from


def run(names: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """One scene after the other on one cluster, begun with the first."""
    with tempfile.TemporaryDirectory(prefix="machine-") as folder:
        expected = expected_state(Path(folder) / "uninterrupted")
        with a_world(cache_from(os.environ)) as world:
            for name in names:
                account = live(world, name, expected)
                sys.stdout.write(f"{name}: {account.endings}, {account.seconds:.0f} s, "
                                 f"{len(account.wrong)} wrong {account.wrong}\n")  # fmt: skip
                sys.stdout.flush()
                yield name, account.to_json()


def findings(results: Sequence[Json]) -> Findings:
    """Whether each scene ended as promised, and what it cost."""
    wrong = [words for result in results for words in result["wrong"]]
    right = [one for one in results if not one["wrong"]]
    told = [one for one in results if SCENES[one["scene"]].saved]
    figures = [
        exactly("scenes that ended as promised", len(right), "", len(results)),
        exactly("final states that equal an uninterrupted run's",
                sum(one["exact"] for one in results), "", len(results)),
        exactly("time ledgers that add up to the job's age",
                sum(0 <= one["ledger_gap"] < 2 for one in results), "", len(results)),
        exactly("steps done again where there was time to save",
                sum(one["replayed"] for one in told), "", 0),
        Figure("shared memory of a pod whose sidecar was killed, at most",
               max((one["shared_bytes"] for one in results), default=0) / 2**20, "MiB"),
        exactly("broken promises of any kind", len(wrong), "", 0),
    ]  # fmt: skip
    return Findings(figures, _table(results), wrong)


def _table(results: Sequence[Json]) -> str:
    rows = [
        f"| {one['scene']} | {SCENES[one['scene']].about} | {', '.join(one['endings'])} | "
        f"{one['charged'][0] if one['charged'] else '?'} | {one['replayed']} | "
        f"{'yes' if one['exact'] else 'no'} | {one['ledger_gap']} s | {one['seconds']:.0f} s |"
        for one in results
    ]
    remark = _without_memory([one for one in results if SCENES[one["scene"]].endings is NO_MEMORY])
    titles = "| scene | what happens | endings | charged | done again | exact | gap | took |"
    table = "\n".join([titles, "|---|---|---|---|---|---|---|---|", *rows])
    return table + remark


def _without_memory(results: Sequence[Json]) -> str:
    """How each trainer that was out of memory was known for it."""
    reasons = Counter(reason for one in results for reason in one["reasons"])
    told = sum("memory.events" in words for one in results for words in one["messages"])
    if not reasons:
        return ""
    said = " and ".join(f"`{reason}` of {count}" for reason, count in sorted(reasons.items()))
    return (
        f"\n\n{reasons.total()} trainers were out of memory. Their runtime said {said}: with "
        "systemd's cgroups containerd often comes too late to know that the kernel killed them "
        f"(its issue 8893). Of {told} the sidecar had seen what the kernel counted before the "
        "container's cgroup was removed, and the attempt's message has the figures."
    )


CAMPAIGN = Campaign(
    name="machine",
    about="A real job on a node with its own kernel, clock and cgroup v2 (user-mode-linux) of the "
    "local cluster, beside the installed operator and a real S3 server: out of memory in two ways, "
    "a sidecar that is killed while it holds the arenas, power cut, panic, reboot, graceful "
    "shutdown, a minute's stall of the hypervisor, and wrong clocks. Each must end as promised, be "
    "charged to its owner, end with the state of a run that nothing happened to, bit for bit, and "
    "leave a time ledger that adds up to the job's age.",
    units=list(SCENES),
    run=run,
    findings=findings,
)
