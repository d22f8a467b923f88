"""The parts of the search for what to resume from, put together by the configuration."""

from functools import partial

from spot_sidecar.config.spot_config import Config
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.lineage.connect import former_lineages, inherited_lineage
from spot_sidecar.resume.decision import Bringing
from spot_sidecar.resume.inherited import Inherited
from spot_sidecar.resume.restore_agreement import RestoreAgreement
from spot_sidecar.resume.search import Search
from spot_sidecar.resume.unfinished import warn_of_unfinished
from spot_sidecar.state.attempt_state import AttemptState

__all__ = ["search_of"]


def search_of(
    config: Config,
    lineage: Lineage,
    attempt_state: AttemptState,
    fetch: Bringing,
    agreement: RestoreAgreement,
) -> Search:
    """The search of one rank in the job's `lineage`, or in the one that it resumes from."""
    inherited = _inherited(config, lineage)
    former = former_lineages(config.store, config.job)
    warn = partial(warn_of_unfinished, lineage, former, config.job, attempt_state)
    return Search(
        lineage,
        attempt_state,
        fetch,
        agreement,
        ranks=config.ranks,
        inherited=inherited,
        # Who says what to go on from knows what is there.
        begun=None if inherited else warn,
    )


def _inherited(config: Config, lineage: Lineage) -> Inherited | None:
    other = config.resume_from
    if other is None:
        return None
    connect = inherited_lineage(config.store, config.job, other)
    return Inherited(lineage.beside(connect), other.lineage, other.checkpoint)
