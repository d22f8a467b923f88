"""Since when reports can reach this process: what nobody could send is no sign of a silent node."""

from typing import Final

from spot_operator.control.clock import Clock

__all__ = ["ADDRESS", "CERTIFICATE", "Hearing"]

CERTIFICATE: Final = "the reports server has no certificate"
ADDRESS: Final = "the reports Service does not lead here"


class Hearing:
    """What reports need on our side. Deaf at first, until all of it was found well."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._missing = [CERTIFICATE, ADDRESS]
        self._since: float | None = None

    @property
    def lacks(self) -> str:
        """What keeps reports from reaching us; empty when nothing does."""
        return " and ".join(self._missing)

    def seconds(self) -> float:
        """For how long reports have been able to reach us."""
        return 0.0 if self._since is None else self._clock.monotonic() - self._since

    def found(self, what: str, *, well: bool) -> None:
        """`what` is one of the two; the time starts again after anything was not well."""
        known = [one for one in self._missing if one != what]
        self._missing = known if well else [*known, what]
        if self._missing:
            self._since = None
        elif self._since is None:
            self._since = self._clock.monotonic()
