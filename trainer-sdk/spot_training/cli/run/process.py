"""A script in its own process group: started, struck, and ended with everything it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from spot_training.cli.codes import wrong_usage

_LEAVE_SECONDS = 5.0


class Process:
    """One start. Signals go to the group by the leader's recorded pid, never by name."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        try:
            self._leader = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, process_group=0
            )
        except OSError as error:
            raise wrong_usage(f"{command[0]} cannot be started: {error.strerror}") from error

    def ended(self, seconds: float) -> bool:
        """Waits up to so long for the leader's end. It stays a zombie, so that its pid (which is
        the group's) cannot be anybody else's before `reap`."""
        end = time.monotonic() + seconds
        while not self._is_zombie():
            left = end - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(0.02, left))
        return True

    def strike(self, number: int) -> None:
        """Signals the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._leader.pid, number)

    def reap(self) -> int:
        """Kills what is left of the group; the leader's code, negative for a signal."""
        self.strike(signal.SIGKILL)
        return self._leader.wait()

    def end(self) -> None:
        """Asks the group to end, then makes it; for Ctrl-C."""
        if self._leader.returncode is not None:
            return
        self.strike(signal.SIGTERM)
        self.ended(_LEAVE_SECONDS)
        self.reap()

    def _is_zombie(self) -> bool:
        if self._leader.returncode is not None:
            return True
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._leader.pid, options) is not None
