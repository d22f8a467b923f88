"""Writes golden files of the checkpoint format that do not exist yet (tests/golden/format/v<n>).

A file that stands is never touched: what was written by a version must be read for ever. To change
the format within an unreleased version, delete its files by hand and say why in the commit.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]


def main() -> None:
    """Add what is missing in today's version."""
    from kit import golden_format  # noqa: PLC0415 - needs the path above

    version = golden_format.ROOT / f"v{golden_format.VERSION}" / "written"
    made = golden_format.written()
    for name in golden_format.missing(version):
        path = version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[name])
        print(f"made {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
