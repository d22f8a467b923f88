"""What happens to a job on a machine of its own, and how each is to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from campaigns.machine import script

if TYPE_CHECKING:
    from campaigns.machine.life import Life

INTERRUPTION, FAILURE = "Interruption", "Failure"
AHEAD = 600.0
STALL = 60.0


@dataclass(frozen=True, slots=True)
class Scene:
    """`strike` comes once an attempt has committed its first checkpoint."""

    about: str
    strike: Callable[[Life], None]
    endings: Mapping[str, str] = field(default_factory=dict)
    """What a struck attempt may be recorded as, and the budget that pays; none: it completes the
    job."""
    times: int = 1
    """So many attempts are struck, one after the other."""
    saved: bool = False
    """Whether nothing may be lost: there was time to save."""
    habit: str = script.NOTHING
    ahead: float = 0.0
    """Of the node's clock from its boot on, in seconds."""


def _go(life: Life) -> None:
    life.exec("touch", script.GO)


def _kill_sidecar(life: Life) -> None:
    life.expect_shared_memory_bounded()
    life.kill_sidecar()
    life.expect_shared_memory_bounded(seconds=15)


def _cut(life: Life) -> None:
    life.node.kill()
    life.node.return_()


def _panic(life: Life) -> None:
    life.node.panic()
    life.node.return_()


def _reboot(life: Life) -> None:
    life.node.reboot()


def _shut_down(life: Life) -> None:
    life.node.shut_down()
    life.node.return_()


def _freeze(life: Life) -> None:
    life.node.freeze()
    time.sleep(STALL)
    life.node.thaw()


def _nothing(_life: Life) -> None:
    """The clock is wrong from the beginning."""


def _set_back(life: Life) -> None:
    life.node.set_clock(-AHEAD)


LOST = {"NodeLost": INTERRUPTION}
TOLD = {"Preempted": INTERRUPTION, "Paused": INTERRUPTION}
NO_MEMORY = {"OutOfMemory": FAILURE}
"""With systemd's cgroups containerd often loses the kernel's word (its issue 8893), and the status
has exit 137 without a reason: then the sidecar saw what the kernel counted."""

SCENES: dict[str, Scene] = {
    "out of memory by arrays": Scene(
        "the trainer takes more memory than its limit",
        _go, NO_MEMORY, times=3, habit=script.ARRAYS),
    "out of memory by shared memory": Scene(
        "the trainer fills /dev/shm beyond its limit",
        _go, NO_MEMORY, times=3, habit=script.SHARED_MEMORY),
    "sidecar killed": Scene(
        "SIGKILL to the sidecar while it holds the arenas", _kill_sidecar),
    "power cut": Scene("the machine loses its power and returns", _cut, LOST),
    "panic": Scene("the kernel panics and the machine returns", _panic, LOST),
    "freeze": Scene("the hypervisor stops the machine for a minute", _freeze),
    "clock ahead": Scene("its clock is ten minutes ahead", _nothing, ahead=AHEAD),
    "clock behind": Scene("its clock is ten minutes behind", _nothing, ahead=-AHEAD),
    "clock set back": Scene(
        "its clock, ten minutes ahead, is set ten minutes behind amid the attempt",
        _set_back, ahead=AHEAD),
    "reboot": Scene("`systemctl reboot`", _reboot, TOLD, saved=True),
    "graceful shutdown": Scene(
        "`systemctl poweroff`, later on again", _shut_down, TOLD, saved=True),
}  # fmt: skip
