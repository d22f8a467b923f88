"""What memory the sidecar needs for itself: large states, and many checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.checkpoint.plan import Plan
from benchmarks.checkpoint.pods import a_granted_pod, a_waiting_pod
from benchmarks.checkpoint.sink import a_sink
from benchmarks.kit.benchmark import Circumstances, Section, most
from benchmarks.kit.process import MIB, anonymous_mib, watched

OWN_MIB = 120.0
GROWTH_MIB = 1.0
KIND = "huge"


def sections(around: Circumstances, plan: Plan, sink: Path) -> Iterator[Section]:
    """Anonymous memory: the arenas and the mapped checkpoint are not its own."""
    saving, restoring = _large(around, plan, sink)
    early, late = _many(around, plan, sink)
    moved = f"peak of RssAnon, looked at every 20 ms, while {plan.large} MiB"
    yield Section(
        "The sidecar's own memory",
        [
            most("anonymous memory, upload", saving, OWN_MIB, f"{moved} are saved", unit="MiB"),
            most("anonymous memory, restore", restoring, OWN_MIB, f"{moved} return", unit="MiB"),
            most(
                f"growth over {plan.checkpoints} checkpoints",
                late - early,
                GROWTH_MIB,
                f"of {plan.small} MiB each: the median of RssAnon after the last tenth of them "
                "less that of the second tenth",
                unit="MiB",
            ),
        ],
        f"After the second tenth {early:.1f} MiB, after the last {late:.1f} MiB.",
    )


def _large(around: Circumstances, plan: Plan, sink: Path) -> tuple[float, float]:
    with a_sink(sink, around.memory / "sink-large", keep=True) as server:
        state = (KIND, plan.large)
        with (
            a_granted_pod(around, "large", state=state, arenas=1, server=server) as pod,
            watched(pod.sidecar.process.pid) as saving,
        ):
            pod.save()
        staging = (plan.large + plan.large // 8 + 8) * MIB
        with (
            a_waiting_pod(around, "again", staging=staging, attempt=2, server=server) as pod,
            watched(pod.sidecar.process.pid) as restoring,
        ):
            pod.trainer.ask("build", kind=KIND, mib=plan.large, moments=False)
            pod.folder.grant()
            pod.trainer.ask("resume")
    return saving.peak, restoring.peak


def _many(around: Circumstances, plan: Plan, sink: Path) -> tuple[float, float]:
    own: list[float] = []
    state = ("transformer", plan.small)
    with (
        a_sink(sink, around.memory / "sink-many") as server,
        a_granted_pod(around, "often", state=state, arenas=2, server=server) as pod,
    ):
        for _ in range(plan.checkpoints):
            pod.save()
            own.append(anonymous_mib(pod.sidecar.process.pid))
    tenth = max(1, len(own) // 10)
    return median(own[tenth : 2 * tenth]), median(own[-tenth:])
