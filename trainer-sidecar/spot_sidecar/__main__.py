"""`python -m spot_sidecar`: one per pod, started by the kubelet before the trainer.

SIGTERM means that the trainer has ended. Exit codes: 0 after that, 2 for an environment that cannot
be used, 1 for a fault (the kubelet starts it again, and it goes on from its journal).
"""

import asyncio
import json
import logging
import os
import signal
import sys

from spot_sidecar.app import Sidecar
from spot_sidecar.base.clock import SystemClock, timestamp
from spot_sidecar.base.entropy import SystemEntropy
from spot_sidecar.config.paths import Paths
from spot_sidecar.config.spot_config import ConfigError, read_settings
from spot_sidecar.observability.logs import log_to_stderr
from spot_sidecar.state.last_word import write_last_word

__all__ = ["main"]

log = logging.getLogger("spot_sidecar")

UMASK = 0o007
"""What we make is for us and for the group that the trainer is in."""


def main() -> None:
    """Run until SIGTERM."""
    log_to_stderr()
    os.umask(UMASK)
    try:
        settings = read_settings()
    except ConfigError as error:
        log.error("%s", error)  # noqa: TRY400 - the message is all there is to know
        _leave_word(str(error))
        sys.exit(2)
    code = 0
    try:
        asyncio.run(_serve(Sidecar(settings, SystemClock(), SystemEntropy())))
    except Exception:
        log.exception("the sidecar failed; started again it goes on from its journal")
        code = 1
    logging.shutdown()
    # A thread may hang in a call to a silent store: it must not hold up the pod's end.
    os._exit(code)


async def _serve(sidecar: Sidecar) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await sidecar.run(stop)


def _leave_word(message: str) -> None:
    """Tell the kubelet why this container cannot run, if there is a place for it."""
    since = timestamp(SystemClock().now())
    problem = {"kind": "ConfigInvalid", "message": message[:1024], "since": since}
    word = {"version": 1, "word": None, "reason": "", "step": 0, "problem": problem}
    body = json.dumps({**word, "commit": None, "notice": None}).encode()
    try:
        write_last_word(Paths.from_environment().termination_log, body)
    except OSError as error:
        log.warning("no termination message: %s", error)


if __name__ == "__main__":
    main()
