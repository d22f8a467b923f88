"""The Debian packages that the cluster and the image builds use, and how to get them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .commands import Step, perform
from .errors import MissingError, StepError
from .layout import Cache
from .locking import exclusive
from .progress import say
from .wheels import has_venv

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A user's PATH often leaves the sbin folders out, where half of these programs are."""


@dataclass(frozen=True)
class Package:
    """A Debian package, why we need it, and what shows that it is there (by any origin)."""

    name: str
    purpose: str
    present: Callable[[], bool]


def _program(name: str) -> Callable[[], bool]:
    return lambda: (
        shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}") is not None
    )


def _file(path: str) -> Callable[[], bool]:
    return lambda: Path(path).exists()


PACKAGES: tuple[Package, ...] = (
    Package("git", "lists what goes into an image", _program("git")),
    Package("python3-venv", "virtual environments", has_venv),
    Package("ca-certificates", "downloads over TLS", _file("/etc/ssl/certs/ca-certificates.crt")),
    Package("util-linux", "a node's namespaces", _program("unshare")),
    Package("runc", "runs containers", _program("runc")),
    Package("containernetworking-plugins", "pod networks", _file("/usr/lib/cni/bridge")),
    Package("iptables", "port mappings of pods", _program("iptables")),
    Package("nftables", "kube-proxy's services", _program("nft")),
    Package("iproute2", "bridges and links of nodes", _program("ip")),
    Package("conntrack", "kube-proxy's clean-up", _program("conntrack")),
    Package("socat", "kubectl port-forward", _program("socat")),
    Package("buildah", "builds the images", _program("buildah")),
    Package("debootstrap", "makes the base image", _program("debootstrap")),
    Package("e2fsprogs", "disks of machines with a kernel of their own", _program("mkfs.ext4")),
    Package("user-mode-linux", "their kernel, as an ordinary program", _program("linux.uml")),
)


def missing_packages() -> list[Package]:
    """Those whose proof of presence fails."""
    return [package for package in PACKAGES if not package.present()]


def install_missing(cache: Cache) -> None:
    """Install what is missing with apt-get. Raises MissingError when that needs another user."""
    if not missing_packages():
        say("every Debian package is there")
        return
    with exclusive(cache.lock("packages"), say):
        if wanted := missing_packages():
            _install([package.name for package in wanted], cache)
    if left := missing_packages():
        names = " ".join(package.name for package in left)
        raise StepError(f"apt-get ended well, and yet these are not usable: {names}")


def _install(names: Sequence[str], cache: Cache) -> None:
    command = f"apt-get install --no-install-recommends {' '.join(names)}"
    if shutil.which("apt-get") is None:
        raise MissingError(
            f"this machine has no apt-get; install what these Debian packages hold: {names}"
        )
    if os.geteuid() != 0:
        raise MissingError(f"installing packages needs root; run: sudo {command}")
    say(f"installing {' '.join(names)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A third party's source that fails must not stop us: the install itself decides.
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]
    try:
        perform(
            Step("apt-get update", [*apt, "update"], 10, environ=environ),
            cache.logs / "apt-update.log",
        )
    except StepError as error:
        say(f"apt-get update failed, trying to install all the same:\n{error}")
    install = [*apt, "install", "-y", "--no-install-recommends", *names]
    perform(Step("apt-get install", install, 40, environ=environ), cache.logs / "apt-install.log")
