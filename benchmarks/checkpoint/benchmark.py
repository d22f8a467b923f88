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


REASONS = {
    "stall / memory copy, many small tensors": (
        "to copy 48 KiB takes less time than what Python does for each tensor at every save: list "
        "it, tell whether it is one of those before, find its place. A list kept from save to "
        "save would have to notice each tensor that a script replaces."
    ),
    "restore, http: torch / ours": (
        "the download goes into new pages of the memory that sidecar and trainer share (tmpfs), "
        "which cost more than ordinary memory; then the state is loaded, and compared with its "
        "digests. To be faster the trainer would have to load what is verified while the rest is "
        "still on its way, or the pages be there before the grant."
    ),
}

BENCHMARK = Benchmark(
    "checkpoint",
    (__doc__ or "").strip(),
    {name: partial(_run, part) for name, part in PARTS.items()},
    REASONS,
)
