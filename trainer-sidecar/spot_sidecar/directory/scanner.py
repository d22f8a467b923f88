"""Which set is the newest that is complete and has stood still for the settle time."""

import logging
from dataclasses import dataclass, field

from spot_sidecar.directory.sets import FileSet, Format, newest_first
from spot_sidecar.directory.tree import Tree

__all__ = ["Scanner", "Settling"]

log = logging.getLogger(__name__)

Shape = tuple[tuple[str, int, int, int], ...]


@dataclass(slots=True)
class Settling:
    """Since when each set has looked as it looks now; seconds of any steady clock."""

    seconds: float
    _since: dict[str, tuple[Shape, float]] = field(default_factory=dict)

    def settled(self, sets: list[FileSet], now: float) -> list[FileSet]:
        """Those that have not changed for the settle time, the newest first."""
        before, self._since = self._since, {}
        for one in sets:
            shape, (known, since) = shape_of(one), before.get(one.root, ((), now))
            self._since[one.root] = (shape, since if shape == known else now)
        still = (one for one in sets if now - self._since[one.root][1] >= self.seconds)
        return newest_first(still)


def shape_of(found: FileSet) -> Shape:
    """What a write to the set changes. A link of ours changes more, so that is left out."""
    return tuple((file.path, file.inode, file.size, file.mtime) for file in found.files)


class Scanner:
    """Scans the script's directory; blocking, so run it in a thread."""

    def __init__(self, tree: Tree, layout: Format, settle_seconds: float) -> None:
        self._tree = tree
        self._layout = layout
        self._settling = Settling(settle_seconds)
        self._judged: dict[str, tuple[Shape, str]] = {}

    def newest(self, above: int, now: float, *, ended: bool = False) -> FileSet | None:
        """The newest complete set of a step above `above`; None: there is none.

        `ended`: the script writes no more, so that nothing needs to settle whose format shows by
        itself that it is complete.

        Raises:
            OSError: the directory cannot be read.
            TooManyFilesError: it is too large.
        """
        sets = self._layout.sets(self._tree.files(), self._tree.open)
        settled = self._settling.settled(sets, now)
        if ended and self._layout.at_the_end:
            settled = newest_first(sets)
        candidates = (one for one in settled if one.step > above)
        return next((one for one in candidates if not self._lacks(one)), None)

    def _lacks(self, found: FileSet) -> str:
        """What it lacks; asked once for each state of the set, because files are read for it."""
        shape = shape_of(found)
        known, lacks = self._judged.get(found.root, ((), ""))
        if known != shape:
            lacks = self._layout.lacks(found, self._tree.open)
            self._judged[found.root] = (shape, lacks)
            if lacks:
                log.info("not complete", extra={"set": found.root, "lacks": lacks})
        return lacks
