"""An API server in the process, for simulations: see `server`, `client`, `faults`, `process`."""

from kit.fakeapi.client import FakeClient
from kit.fakeapi.faults import Call, Faults, calls, delay, fail, run, the_write
from kit.fakeapi.garbage import GarbageCollector
from kit.fakeapi.kinds import Kind, custom
from kit.fakeapi.process import Process
from kit.fakeapi.server import FakeApiServer
from kit.fakeapi.storage import copied

__all__ = [
    "Call",
    "FakeApiServer",
    "FakeClient",
    "Faults",
    "GarbageCollector",
    "Kind",
    "Process",
    "calls",
    "copied",
    "custom",
    "delay",
    "fail",
    "run",
    "the_write",
]
