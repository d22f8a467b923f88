"""A sidecar on a node with bad memory: a bit of all that it reads of data is wrong.

Only for volumes: for a bucket, a proxy before that node does the same.
"""

from __future__ import annotations

from spot_sidecar import __main__ as sidecar
from spot_training.checkpoint.stores import files


def main() -> None:
    """The sidecar's own program, with memory that fails."""
    read_into = files.read_into

    def forgetful(descriptor: int, start: int, into: memoryview, key: str) -> None:
        read_into(descriptor, start, into, key)
        if key.startswith("data/"):
            into[len(into) // 2] ^= 1

    files.read_into = forgetful
    sidecar.main()
