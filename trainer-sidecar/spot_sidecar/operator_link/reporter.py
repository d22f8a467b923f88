"""Sends the reports: every interval, and at once when something urgent happened.

A report that fails blocks nothing and decides nothing: the next one carries the whole state
again. Events wait until a report that carried them was acknowledged.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp

from spot_sidecar.base.pulse import Pulse
from spot_sidecar.config.spot_config import Config, Pod
from spot_sidecar.operator_link.report import Turn, build_report
from spot_sidecar.operator_link.trust import BundleError, trust_only
from spot_sidecar.state.attempt_state import AttemptState, Event, Word

__all__ = ["Reporter"]

log = logging.getLogger(__name__)

REQUEST_SECONDS = 8.0
"""Below the interval: one report is on the way at a time."""
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""After a failure; a standby that does not lead answers 503, the leader is found within seconds."""
GAP_SECONDS = 0.1
"""Urgent changes come in bursts: one report for each."""


class Reporter:
    """One connection to the operator, kept alive.

    `outdated` is called with the number of the newer attempt when the operator answers that this
    pod is not of the current one.
    """

    def __init__(
        self,
        attempt_state: AttemptState,
        config: Config,
        pod: Pod,
        token_file: Path,
        outdated: Callable[[int], object],
    ) -> None:
        self._attempt_state = attempt_state
        self._config = config
        self._pod = pod
        self._token_file = token_file
        self._outdated = outdated
        self._session: aiohttp.ClientSession | None = None
        self._bundle: str | None = None
        self._stale = False
        self._turn = Turn(attempt_state.entropy.token(8), 0)
        self._failures = 0
        self._outcome = ""
        self._heard: Word | None = None
        self._acknowledgements = Pulse()

    def follow(self, attempt_state: AttemptState, config: Config) -> None:
        """Report another attempt of this pod from now on."""
        before, self._attempt_state = self._attempt_state, attempt_state
        self._config = config
        before.urgencies.ring()

    def trust(self, bundle: str | None) -> None:
        """Use this certificate bundle from the next report on."""
        if bundle != self._bundle:
            self._bundle = bundle
            self._stale = True
            self._attempt_state.urgencies.ring()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            beat = self._attempt_state.urgencies.beat
            await self.send()
            await self._attempt_state.urgencies.beyond(beat, self._pause())
            await self._attempt_state.clock.sleep(GAP_SECONDS)

    async def send(self) -> bool:
        """Send one report; say whether it was acknowledged. Never raises but when cancelled."""
        try:
            outcome, done = await self._post()
        except TimeoutError:
            outcome, done = "no answer", False
        except (aiohttp.ClientError, OSError, ValueError) as error:
            outcome, done = f"{type(error).__name__}: {error}", False
        self._failures = 0 if done else self._failures + 1
        self._tell_outcome(outcome, done=done)
        return done

    async def heard(self, word: Word, seconds: float) -> bool:
        """Wait up to `seconds` until the operator acknowledged a report with `word`."""
        clock = self._attempt_state.clock
        end = clock.monotonic() + seconds
        while self._heard != word:
            beat, left = self._acknowledgements.beat, end - clock.monotonic()
            if left <= 0 or not await self._acknowledgements.beyond(beat, left):
                break
        return self._heard == word

    async def close(self) -> None:
        """Close the connection; a later report opens a new one."""
        session, self._session = self._session, None
        if session:
            await session.close()

    async def _post(self) -> tuple[str, bool]:
        """What happened, in words, and whether the report was acknowledged."""
        self._turn = replace(self._turn, number=self._turn.number + 1)
        attempt_state = self._attempt_state
        report = build_report(attempt_state, self._config, self._pod, self._turn)
        word, events = attempt_state.word, list(attempt_state.events)
        session = await self._connection()
        url = f"{self._config.reports.url.rstrip('/')}/v1/reports"
        headers = {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}
        async with session.post(url, json=report, headers=headers) as answer:
            if answer.status == 200:
                self._acknowledged(word, events)
                return "reported", True
            detail = (await answer.text())[:500]
        return await self._refused(answer.status, detail), False

    async def _connection(self) -> aiohttp.ClientSession:
        if self._stale:
            self._stale = False
            await self.close()
        if self._session is None:
            if self._bundle is None:
                raise BundleError("the pod has no certificate bundle yet")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trust_only(self._bundle), limit=1),
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            )
        return self._session

    async def _refused(self, status: int, detail: str) -> str:
        if status == 503:
            # This one does not lead: a kept connection would reach the same one again.
            await self.close()
        if status == 409:
            self._outdated(_attempt_in(detail))
        return f"the operator answered {status}: {detail}"

    def _acknowledged(self, word: Word | None, events: list[Event]) -> None:
        waiting = self._attempt_state.events
        while waiting and events and waiting[0] in events:
            waiting.popleft()
        self._heard = word
        self._acknowledgements.ring()

    def _tell_outcome(self, outcome: str, *, done: bool) -> None:
        if outcome != self._outcome:
            log.log(logging.INFO if done else logging.WARNING, "report: %s", outcome)
        self._outcome = outcome

    def _pause(self) -> float:
        if not self._failures:
            return self._config.reports.interval
        retry = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS)) - 1]
        return min(retry, self._config.reports.interval)


def _attempt_in(detail: str) -> int:
    """The number of the current attempt in the body of a 409; 0 if it is not told."""
    try:
        return int(json.loads(detail)["attempt"])
    except (ValueError, KeyError, TypeError):
        return 0
