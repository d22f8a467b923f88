"""What a save costs the trainer: the stall, and what training loses until the save is durable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.checkpoint.plan import Plan
from benchmarks.checkpoint.pods import Pod, a_granted_pod
from benchmarks.kit.benchmark import Circumstances, Row, Section, Values, least, most, told
from benchmarks.kit.rounds import interleaved

DCP_ASYNC = ("DCP async, thread", "DCP async, process")
SYNC = "torch.save"
STALL = 1.3
COST = 3.5


def sections(around: Circumstances, plan: Plan, _: Path) -> Iterator[Section]:
    """Every method on the large state; ours and torch.save on the other shapes."""
    yield _amid_training(around, plan)
    yield Section(
        "Stall, other shapes of state",
        [
            *_stalls(around, plan, "many", plan.many, "many small tensors"),
            *_stalls(around, plan, "huge", plan.state, "one huge tensor"),
        ],
    )


def _amid_training(around: Circumstances, plan: Plan) -> Section:
    volume = around.disk / "volume"
    volume.mkdir()
    state = ("transformer", plan.state)
    with a_granted_pod(around, "saving", state=state, arenas=2, volume=volume) as pod:
        rivals = pod.trainer.ask("methods", folder=str(around.disk))["names"]
        names = ["floor", "ours", *rivals]
        first = {name: pod.trainer.ask("save", method=name)["stall"] for name in names}
        stall, cost, slowdown, background = Values(), Values(), Values(), Values()
        for _, name in interleaved(
            names, plan.rounds, seed=around.seed, gate=around.gate, first=["floor"]
        ):
            found = pod.trainer.ask("train_through", method=name)
            stall.add(name, found["stall"])
            cost.add(name, found["cost"])
            slowdown.add(name, 100 * found["slowdown"])
            background.add(name, found["background"])
    return Section(
        f"Saving {plan.state} MiB amid training",
        [*_stall_rows(stall, first["ours"]), *_cost_rows(cost)],
        _table(names, stall, slowdown, background, cost),
    )


def _stall_rows(stall: Values, first: float) -> list[Row]:
    copied = "beside one copy of the same tensors into ready memory, in the same round; one thread"
    return [
        most("stall / memory copy", stall.ratio("ours", "floor"), STALL, f"run.save() {copied}"),
        told(
            "torch.save + fsync / memory copy", stall.ratio(SYNC, "floor"), "x",
            f"to disk, {copied}",
        ),
        told(
            "stall of the first save", first, "s",
            "run.save() once more, when the sidecar still has to allocate the arenas",
        ),
    ]  # fmt: skip


def _cost_rows(cost: Values) -> list[Row]:
    best = min(DCP_ASYNC, key=cost.median)
    how = (
        "stall + what the steps took longer until the save was durable (matrix products on one "
        "thread); everybody wrote to the same disk and fsynced, ours through the sidecar into a "
        "volume"
    )
    return [
        least("C_eff: torch.save / ours", cost.ratio(SYNC, "ours"), COST, how),
        least(f"C_eff: best DCP async ({best}) / ours", cost.ratio(best, "ours"), 1.0, how),
    ]


def _table(
    names: list[str], stall: Values, slowdown: Values, background: Values, cost: Values
) -> str:
    lines = [
        "Medians (least-greatest) over the rounds.",
        "",
        "| method | stall | slowdown of training | until durable | C_eff |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {stall.spread(name)} | {slowdown.spread(name, '%')} | "
        f"{background.spread(name)} | {cost.spread(name)} |"
        for name in names
    ]
    return "\n".join(lines)


def _stalls(around: Circumstances, plan: Plan, kind: str, mib: int, said: str) -> list[Row]:
    volume = around.memory / f"volume-{kind}"
    volume.mkdir()
    stall = Values()
    with a_granted_pod(around, kind, state=(kind, mib), arenas=2, volume=volume) as pod:
        for names, rounds in ((["floor", "ours"], plan.rounds), (["copied", SYNC], plan.few)):
            _measure(around, pod, names, rounds, stall)
    shutil.rmtree(volume)
    how = f"as above, on {mib} MiB in {said}"
    return [
        most(f"stall / memory copy, {said}", stall.ratio("ours", "floor"), STALL, how),
        told(f"torch.save + fsync / memory copy, {said}", stall.ratio(SYNC, "copied"), "x", how),
    ]


def _measure(around: Circumstances, pod: Pod, names: list[str], rounds: int, stall: Values) -> None:
    """The first of the names is the floor, however it is called."""
    methods = {name: "floor" if name == names[0] else name for name in names}
    for method in methods.values():
        pod.trainer.ask("save", method=method)
    for _, name in interleaved(names, rounds, seed=around.seed, gate=around.gate, first=names[:1]):
        stall.add(name, pod.trainer.ask("save", method=methods[name])["stall"])
