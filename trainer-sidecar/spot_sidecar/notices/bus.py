"""The notice in force in this pod: every source tells it, the trainer and the operator hear it."""

import json
from collections.abc import Callable
from pathlib import Path

from spot_sidecar.base.pulse import Pulse
from spot_sidecar.config.paths import GROUP_FILE
from spot_sidecar.notices.notice import Kind, Notice, combine

__all__ = ["NoticeBus", "write_notice_file"]

Listener = Callable[[Notice], None]


class NoticeBus:
    """Combines what the sources say into one notice with a growing sequence number."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners
        self._heard: set[tuple[str, Kind]] = set()
        self._pulse = Pulse()
        self.in_force: Notice | None = None

    @property
    def sequence(self) -> int:
        """Grows by one with each change of the notice in force; 0: there was never one."""
        return self._pulse.beat

    @property
    def heard(self) -> frozenset[tuple[str, Kind]]:
        """Each (source, kind) that has spoken."""
        return frozenset(self._heard)

    def tell(self, notice: Notice) -> bool:
        """Take a source's word; return whether the notice in force changed.

        Listeners are called, in order, only when it did.
        """
        self._heard.add((notice.source, notice.kind))
        combined = combine(self.in_force, notice)
        if combined == self.in_force:
            return False
        self.in_force = combined
        for listener in self._listeners:
            listener(combined)
        self._pulse.ring()
        return True

    async def beyond(self, sequence: int, seconds: float) -> int:
        """Wait up to `seconds` for a sequence number above `sequence`; return the present one."""
        await self._pulse.beyond(sequence, seconds)
        return self.sequence


def write_notice_file(path: Path, notice: Notice) -> None:
    """Replace `path` as a whole, so that a reader never sees half a notice."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(notice.to_json()))
    draft.chmod(GROUP_FILE)
    draft.replace(path)
