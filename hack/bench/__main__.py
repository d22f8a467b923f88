"""`python hack/bench NAME [--quick] [--only PART] [--seed N]`: runs a benchmark; writes a report.

The report goes to benchmarks/NAME, or where `--to` says. The exit code is 1 if a figure does not
hold its limit, which a quick run does not ask.
"""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "hack")]
NAMES = ("checkpoint",)
PREFIX = "spot-bench-"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own below it


def main() -> int:
    """Measure, then write the report."""
    from kit.revision import revision  # noqa: PLC0415 - likewise

    from benchmarks.kit.benchmark import (  # noqa: PLC0415 - needs the path above
        Circumstances,
        say,
        write_report,
    )
    from benchmarks.kit.quiet import Gate  # noqa: PLC0415 - likewise

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("name", choices=NAMES)
    asked.add_argument("--quick", action="store_true", help="only see that it works")
    asked.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    asked.add_argument("--only", help="one part of it")
    asked.add_argument("--to", type=Path, help="where the report goes")
    options = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then, too
    benchmark = importlib.import_module(f"benchmarks.{options.name}.benchmark").BENCHMARK
    if options.only not in (None, *benchmark.parts):
        asked.error(f"--only takes one of {', '.join(benchmark.parts)}")
    if (options.only or options.quick) and not options.to:
        asked.error("give --to as well: the committed report is of a whole run")
    cache = Path(os.environ.get("SPOT_CACHE", "~/.cache/spot-training-operator")).expanduser()
    scratch, memory = a_folder(cache / "scratch"), a_folder(MEMORY)
    gate = Gate(in_all=0.0) if options.quick else Gate()
    around = Circumstances(ROOT, scratch, memory, options.quick, options.seed, gate)
    sections = []
    try:
        for part in [options.only] if options.only else benchmark.parts:
            for section in benchmark.parts[part](around):
                sections.append(section)
                say(section)
    finally:
        shutil.rmtree(memory)
        shutil.rmtree(scratch)
    figures = write_report(
        benchmark,
        sections,
        options.to or ROOT / "benchmarks" / benchmark.name,
        commit=revision(ROOT),
        circumstances=around,
    )
    return int(not options.quick and any(figure.holds is False for figure in figures))


def a_folder(parent: Path) -> Path:
    """An empty one of this process's; those of runs that were killed are removed."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{PREFIX}*"):
        if not Path("/proc", left.name.removeprefix(PREFIX).partition("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))


if __name__ == "__main__":
    sys.exit(main())
