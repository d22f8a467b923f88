"""`python hack/campaign NAME [--fresh] [--minutes N]`: runs a campaign, or what is left of it.

A call begins no unit after a chunk of 80 minutes, or N; the next one goes on where it ended, also
after Ctrl-C. The state is kept under $SPOT_CACHE/campaigns; `--fresh` forgets it. The exit code is
1 if a figure does not hold and 3 if units are left.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("tests", "hack")]
NAMES = ("kill", "outage", "corruption", "machine", "simulation")


def main() -> int:
    """Run a chunk; write the report."""
    from campaigns.campaign import CHUNK_MINUTES, run_chunk, write_report  # noqa: PLC0415 - needs the path above
    from kit.figures import spoken  # noqa: PLC0415 - likewise
    from kit.revision import revision  # noqa: PLC0415 - likewise

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("name", choices=NAMES)
    asked.add_argument("--fresh", action="store_true", help="forget what was done before")
    asked.add_argument("--minutes", type=float, default=CHUNK_MINUTES, help="begin no unit after")
    options = asked.parse_args()
    campaign = importlib.import_module(f"campaigns.{options.name}.campaign").CAMPAIGN
    cache = Path(os.environ.get("SPOT_CACHE", "~/.cache/spot-training-operator")).expanduser()
    state = cache / "campaigns" / f"{campaign.name}.json"
    results = run_chunk(
        campaign, state, commit=revision(ROOT), fresh=options.fresh, minutes=options.minutes
    )
    found = write_report(campaign, results, ROOT / "campaigns" / campaign.name)
    for line in spoken(found.figures):
        print(line)
    if len(results) < len(campaign.units):
        print(f"{len(campaign.units) - len(results)} units are left: call it again")
        return 3
    return int(any(figure.holds is False for figure in found.figures))


if __name__ == "__main__":
    sys.exit(main())
