"""What befalls one process and its way to the server, by name; and the end of it."""

from kit.fakeapi.faults import calls, delay, fail
from kit.fakeapi.process import Process
from spot_operator.control.errors import Unavailable

__all__ = ["befall", "end_all"]


def befall(process: Process, step: str) -> None:
    """One misfortune, or the end of one; a name that is not in here changes nothing."""
    faults = process.client.faults
    if step == "pause":
        process.pause()
    elif step == "resume":
        process.resume()
    elif step in {"cut", "uncut"}:
        faults.cut = step == "cut"
    elif step in {"slow", "quick"}:
        faults.latency = 6.0 if step == "slow" else 0.0
        faults.clear()
    elif step == "slow answers":
        faults.on(calls("replace"), after=delay(process.clock, 6.0))
    elif step == "unheard":
        faults.on(calls("replace"), after=fail(Unavailable("answer lost")), times=2)


def end_all(process: Process) -> None:
    """End all misfortunes."""
    process.resume()
    process.client.faults.cut = False
    process.client.faults.latency = 0.0
    process.client.faults.clear()
