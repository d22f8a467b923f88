"""The parts of `checkpoint.source: directory`, put together."""

from collections.abc import Callable
from dataclasses import dataclass

from spot_sidecar.config.paths import Paths
from spot_sidecar.config.spot_config import Config, Directory
from spot_sidecar.directory.formats import format_of
from spot_sidecar.directory.restore import DirectoryFetch, Place, prepare_directory
from spot_sidecar.directory.saves import DirectorySaves, Surroundings
from spot_sidecar.directory.scanner import Scanner
from spot_sidecar.directory.script_start import ScriptStart
from spot_sidecar.directory.spool import Spool
from spot_sidecar.directory.tree import Tree
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.operator_link.grant import GrantWatcher
from spot_sidecar.resume.attempt_start import AttemptStart
from spot_sidecar.snapshots.committer import Committer
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.pod_journal import PodJournal

__all__ = ["DirectorySource", "fetch_of", "source_of"]


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """What serves a script that knows nothing of us."""

    fetch: DirectoryFetch
    attempt_start: ScriptStart
    saves: DirectorySaves
    begun_at: Callable[[], int]

    async def run(self, nonce: str) -> None:
        """Let the script start, then save what it writes, until cancelled."""
        if await self.attempt_start.begin():
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
    grants: GrantWatcher,
    attempt_start: AttemptStart,
    committer: Committer,
    lineage: Lineage,
    journal: PodJournal,
    attempt_state: AttemptState,
    metrics: Metrics,
    around: Surroundings,
) -> DirectorySource:
    """The source, wired to the rest of the sidecar."""
    tree, layout = Tree(paths.script_files), format_of(settings)
    return DirectorySource(
        fetch,
        ScriptStart(
            attempt_start,
            fetch,
            attempt_state,
            promised=lambda: grants.grant is not None and grants.grant.leads_somewhere,
            by_arguments=settings.resume_args,
        ),
        DirectorySaves(
            tree,
            Scanner(tree, layout, settings.settle_seconds),
            Spool(paths.spool),
            committer,
            lineage,
            attempt_state=attempt_state,
            metrics=metrics,
            config=config,
            around=around,
        ),
        begun_at=lambda: _begun_at(journal),
    )


def _begun_at(journal: PodJournal) -> int:
    """The step of the checkpoint that this attempt continues; -1: it began from zero."""
    decided = journal.get("decided") or {}
    origin = decided.get("from")
    return int(origin["step"]) if origin else -1
