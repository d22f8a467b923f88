"""Every source of notices that a pod can ask, by its configuration. A new one is added here."""

from spot_sidecar.base.clock import Clock
from spot_sidecar.config.spot_config import Notices
from spot_sidecar.notices.imds import Imds
from spot_sidecar.notices.source import Source

__all__ = ["sources_of"]


def sources_of(notices: Notices, clock: Clock) -> tuple[Source, ...]:
    """The sources that are enabled."""
    sources: list[Source] = []
    if notices.imds.enabled:
        sources.append(Imds(notices.imds.endpoint, clock))
    return tuple(sources)
