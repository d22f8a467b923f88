"""What the attempt is doing, in the words of the report and of the time ledger. Pure."""

from dataclasses import dataclass

from spot_sidecar.notices.notice import Notice
from spot_sidecar.state.time_buckets import Phase

__all__ = ["Signs", "phase_of", "state_of"]


@dataclass(frozen=True, slots=True)
class Signs:
    """What the state depends on."""

    begun: bool
    """A process has what it continues with."""
    restoring: bool
    alive: bool
    """A process is connected."""
    ended: bool
    """Processes were connected, and none is any more; or the kubelet stops this container."""
    notice: Notice | None

    @property
    def draining(self) -> bool:
        return self.notice is not None and self.notice.kind.certain


def state_of(signs: Signs) -> str:
    """The report's `state`."""
    if signs.ended:
        return "Ended"
    if signs.draining and signs.begun:
        return "Draining"
    if signs.begun:
        return "Training"
    return "Restoring" if signs.restoring else "Waiting"


def phase_of(signs: Signs) -> Phase:
    """The bucket that time goes into now; after the trainer's end its uploads are drain."""
    if signs.ended or (signs.draining and signs.begun):
        return Phase.DRAINING
    if signs.begun:
        return Phase.TRAINING
    return Phase.RESTORING if signs.restoring else Phase.STARTING
