"""`python hack/cluster <command>`: see `cli.py`."""

import sys
from pathlib import Path

# Run as a folder, this file has no package; its parent makes `cluster` importable as one.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cluster.cli import program  # noqa: E402  (only importable after the line above)

sys.exit(program(sys.argv[1:]))
