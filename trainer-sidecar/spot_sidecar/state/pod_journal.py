"""What the sidecar must still know when its container was restarted in the same pod.

One JSON document in the private memory volume, replaced as a whole. The volume lives as long as the
pod on its node: a pod that the kubelet ran a second time finds it empty, and so learns that it is
the second run (see `fence`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["PodJournal"]

ATTEMPT = "attempt"
OF_POD = frozenset({"noticeMoved"})
"""The values that belong to the pod, not to the attempt that runs in it."""


class PodJournal:
    """Named JSON values in one file."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a file of no use (never written whole) counts as empty."""
        self._path = path
        self._values: dict[str, Any] = _read(path)
        self._written = ""

    def get(self, name: str, default: Any = None) -> Any:
        """The value of `name`."""
        return self._values.get(name, default)

    def begin_attempt(self, number: int) -> None:
        """Forget the values of any other attempt; those of the pod stay."""
        if self._values.get(ATTEMPT, number) != number:
            self._values = {name: self._values[name] for name in OF_POD if name in self._values}
        self._values[ATTEMPT] = number  # written with the next value

    def put(self, **values: Any) -> None:
        """Set values and write the document; nothing is written if nothing changed.

        Raises:
            OSError: the volume cannot be written.
        """
        self._values |= values
        text = json.dumps(self._values)
        if text == self._written:
            return
        draft = self._path.with_suffix(".tmp")
        draft.write_text(text)
        draft.replace(self._path)
        self._written = text


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return dict(values) if isinstance(values, Mapping) else {}
