"""The parts of `checkpoint.source: directory`, put together."""

from collections.abc import Callable
from dataclasses import dataclass

from spot_sidecar.config import Config, Directory
from spot_sidecar.directory.beginning import DirectoryBeginning
from spot_sidecar.directory.formats import format_of
from spot_sidecar.directory.looking import Looking
from spot_sidecar.directory.restore import DirectoryFetch, Place, prepare_directory
from spot_sidecar.directory.saving import DirectorySaves, Surroundings
from spot_sidecar.directory.spool import Spool
from spot_sidecar.directory.tree import Tree
from spot_sidecar.lineage import Lineage
from spot_sidecar.memory import Memory
from spot_sidecar.metrics import Metrics
from spot_sidecar.paths import Paths
from spot_sidecar.resume.beginning import Beginning
from spot_sidecar.resume.grant import GrantDesk
from spot_sidecar.snapshots.committer import Committer
from spot_sidecar.standing import Standing

__all__ = ["DirectorySource", "fetch_of", "source_of"]


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """What serves a script that knows nothing of us."""

    fetch: DirectoryFetch
    beginning: DirectoryBeginning
    saves: DirectorySaves
    begun_at: Callable[[], int]

    async def run(self, nonce: str) -> None:
        """Let the script start, then save what it writes, until cancelled."""
        if await self.beginning.begin():
            await self.saves.run(nonce, self.begun_at())


def fetch_of(
    settings: Directory, paths: Paths, lineage: Lineage, metrics: Metrics
) -> DirectoryFetch:
    """Where checkpoints come in; made first, because the search needs it."""
    place = Place(
        files=paths.script_files,
        arriving=paths.arriving,
        seen_at=settings.path,
        link=paths.resume_link(lightning=settings.format == "Lightning"),
    )
    prepare_directory(place)
    spool = Spool(paths.spool)
    spool.clear()
    return DirectoryFetch(lineage, place, format_of(settings), spool.clear, metrics)


def source_of(
    settings: Directory,
    fetch: DirectoryFetch,
    *,
    config: Config,
    paths: Paths,
    desk: GrantDesk,
    beginning: Beginning,
    committer: Committer,
    lineage: Lineage,
    memory: Memory,
    standing: Standing,
    metrics: Metrics,
    around: Surroundings,
) -> DirectorySource:
    """The source, wired to the rest of the sidecar."""
    tree, layout = Tree(paths.script_files), format_of(settings)
    return DirectorySource(
        fetch,
        DirectoryBeginning(
            beginning,
            fetch,
            standing,
            promised=lambda: desk.grant is not None and desk.grant.leads_somewhere,
            by_arguments=settings.resume_args,
        ),
        DirectorySaves(
            tree,
            Looking(tree, layout, settings.settle_seconds),
            Spool(paths.spool),
            committer,
            lineage,
            standing=standing,
            metrics=metrics,
            config=config,
            around=around,
        ),
        begun_at=lambda: _begun_at(memory),
    )


def _begun_at(memory: Memory) -> int:
    """The step of the checkpoint that this attempt continues; -1: it began from zero."""
    decided = memory.get("decided") or {}
    origin = decided.get("from")
    return int(origin["step"]) if origin else -1
