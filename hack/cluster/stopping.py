"""How a program that made a cluster is stopped."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
SAYS: Final = b"\nstopping: what was made is removed, which takes some seconds\n"


def stop_once() -> None:
    """From now on Ctrl-C and SIGTERM raise KeyboardInterrupt, once.

    A second Ctrl-C would cut short the removal of what was made, so both signals are ignored from
    then on, also by the programs that are started for it. Both are set here: a shell script's
    background job begins with SIGINT ignored.
    """
    for each in SIGNALS:
        signal.signal(each, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    os.write(2, SAYS)
    raise KeyboardInterrupt
