"""Since when reports can reach this process: what nobody could send does not show a silent node."""

from typing import Final

from spot_operator.control.clock import Clock

__all__ = ["ADDRESS", "CERTIFICATE", "REVIEWS", "Hearing"]

CERTIFICATE: Final = "the reports server has no certificate"
ADDRESS: Final = "the reports Service does not lead here"
REVIEWS: Final = "the API server does not review tokens"
LASTS: Final = 10.0
"""Seconds for which every review must fail to count: one that fails now and then is tried again."""
DOUBTED: Final = 60.0
"""Seconds after the last review that failed: perhaps no pod is left that asks for another."""


class Hearing:
    """What reports need on our side. Deaf at first, until all of it was found well."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._missing = [CERTIFICATE, ADDRESS]
        self._since: float | None = None
        self._failing: tuple[float, float] | None = None
        """The first and the last of the reviews that failed since one was answered."""

    @property
    def lacks(self) -> str:
        """What keeps reports from reaching us; empty when nothing does."""
        return " and ".join([*self._missing, *([REVIEWS] if self._is_doubted() else ())])

    def seconds(self) -> float:
        """For how long reports have been able to reach us."""
        if self._since is None:
            return 0.0
        last = self._since if self._failing is None else max(self._since, self._failing[1])
        return self._clock.monotonic() - last

    def found(self, what: str, *, well: bool) -> None:
        """`what` is the certificate or the address; the time starts again after anything was not
        well."""
        known = [one for one in self._missing if one != what]
        self._missing = known if well else [*known, what]
        if self._missing:
            self._since = None
        elif self._since is None:
            self._since = self._clock.monotonic()

    def reviewed(self, *, well: bool) -> None:
        """Whether the API server could be asked about a token: without its answer nobody is heard.

        The time counts from the last one of a row that failed, whether or not another is asked.
        """
        now = self._clock.monotonic()
        if not well:
            self._failing = (now if self._failing is None else self._failing[0], now)
            return
        if self._since is not None and self._failing is not None and self._has_lasted():
            self._since = max(self._since, self._failing[1])
        self._failing = None

    def _has_lasted(self) -> bool:
        return self._failing is not None and self._failing[1] - self._failing[0] >= LASTS

    def _is_doubted(self) -> bool:
        if self._failing is None or not self._has_lasted():
            return False
        return self._clock.monotonic() - self._failing[1] < DOUBTED
