"""Where things lie in the pod. The operator mounts the volumes; tests move them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GROUP_DIR", "GROUP_FILE", "Paths"]

GROUP_FILE = 0o660
"""What the trainer may read and write, through the supplemental group it is given."""
GROUP_DIR = 0o2770
"""Set-gid: what either side makes in it belongs to the group that both are in."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Every path the sidecar touches, with the environment variable that moves it."""

    shared: Path = Path("/spot/shared")
    """SPOT_SHARED_DIR: memory shared with the trainer (arenas, notice, socket, progress)."""
    private: Path = Path("/spot/private")
    """SPOT_PRIVATE_DIR: memory of the sidecar alone; survives its restart, not the pod's."""
    annotations: Path = Path("/spot/podinfo/annotations")
    """SPOT_ANNOTATIONS_FILE: the pod's annotations, by the downward API."""
    directory: Path = Path("/spot/directory")
    """SPOT_DIRECTORY_DIR: the volume of a script that writes its own checkpoints; it sees `data`
    alone, which is in the same file system as our hard links."""
    token: Path = Path("/spot/token/token")
    """SPOT_TOKEN_FILE: the ServiceAccount token for the reports; the kubelet renews it."""
    termination_log: Path = Path("/dev/termination-log")
    """SPOT_TERMINATION_LOG: what the kubelet copies into the container's status."""

    @property
    def socket(self) -> Path:
        """The Unix socket that the trainer talks to."""
        return self.shared / "sidecar.sock"

    @property
    def counters(self) -> Path:
        """The Unix socket over which the trainer hands over the files of its memory's counters."""
        return self.shared / "counters.sock"

    @property
    def notice(self) -> Path:
        """The notice in force, replaced as a whole."""
        return self.shared / "notice.json"

    @property
    def journal(self) -> Path:
        """What must survive a restart of this container, and must not survive the pod."""
        return self.private / "attempt.json"

    @property
    def script_files(self) -> Path:
        """What the script sees of its volume."""
        return self.directory / "data"

    @property
    def spool(self) -> Path:
        """Sets that are being uploaded, by hard links."""
        return self.directory / "spool"

    @property
    def arriving(self) -> Path:
        """A checkpoint on its way to `script_files`."""
        return self.directory / "arriving"

    def resume_link(self, *, lightning: bool) -> Path:
        """Leads the script to what it resumes from; its arguments name it. Lightning wants a
        file's name."""
        return self.shared / ("resume.ckpt" if lightning else "resume")

    def progress(self, process: int) -> Path:
        """The 64 bytes in which a trainer's process shows how far it is."""
        return self.shared / f"progress-p{process}"

    def arena(self, process: int, index: int) -> Path:
        """An arena that a trainer's process copies its state into."""
        return self.shared / f"arena-p{process}-{index}"

    def restored(self, process: int) -> Path:
        """The checkpoint that a trainer's process loads at its start."""
        return self.shared / f"restored-p{process}"

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> "Paths":
        """The pod's paths, each moved by its variable."""
        usual = Paths()
        return Paths(
            shared=Path(environment.get("SPOT_SHARED_DIR", usual.shared)),
            private=Path(environment.get("SPOT_PRIVATE_DIR", usual.private)),
            annotations=Path(environment.get("SPOT_ANNOTATIONS_FILE", usual.annotations)),
            directory=Path(environment.get("SPOT_DIRECTORY_DIR", usual.directory)),
            token=Path(environment.get("SPOT_TOKEN_FILE", usual.token)),
            termination_log=Path(environment.get("SPOT_TERMINATION_LOG", usual.termination_log)),
        )
