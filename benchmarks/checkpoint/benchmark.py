"""The checkpoint benchmark: a real sidecar, the real SDK, torch on the CPU, everything on loopback.

What limits us is measured beside us: one memory copy, sendfile. So is what people use otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from toolchain.layout import cache_from

from benchmarks.checkpoint import remembering, restoring, saving, uploading
from benchmarks.checkpoint.plan import FULL, QUICK, Plan
from benchmarks.checkpoint.sink import built
from benchmarks.kit.benchmark import Benchmark, Circumstances, Section

Part = Callable[[Circumstances, Plan, Path], Iterator[Section]]
PARTS: dict[str, Part] = {
    "saving": saving.sections,
    "uploading": uploading.sections,
    "restoring": restoring.sections,
    "remembering": remembering.sections,
}


def _run(part: Part, around: Circumstances) -> Iterator[Section]:
    plan = QUICK if around.quick else FULL
    return part(around, plan, built(cache_from(os.environ)))


BENCHMARK = Benchmark(
    "checkpoint",
    (__doc__ or "").strip(),
    {name: partial(_run, part) for name, part in PARTS.items()},
)
