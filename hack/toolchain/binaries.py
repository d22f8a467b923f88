"""Every Go program that is built: the table, and nothing else.

A *family* is a folder under `go/` with a go.mod and go.sum of its own, for the dependencies of two
families disagree. Its go.sum pins the hash of every module that goes into the programs. To move to
another version: see README.md, "Another version".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import ToolchainError
from .layout import HERE, Cache

RECIPE = "1"
"""Part of every recipe: raise it when programs must be rebuilt though nothing else changed."""


@dataclass(frozen=True)
class Family:
    """One go.mod: the module that it is about, and the linker flags that stamp its version."""

    name: str
    module: str
    version: str
    stamp: str = ""
    """What follows `-ldflags "-s -w"`; without it most programs call themselves `dev`."""

    @property
    def folder(self) -> Path:
        return HERE / "go" / self.name


@dataclass(frozen=True)
class Binary:
    """One program. `expected_seconds`: a cold build on the reference machine (README.md)."""

    name: str
    family: Family
    package: str
    expected_seconds: int
    optional: bool = False
    """Not built unless it is named: only larger campaigns use it."""

    @property
    def version(self) -> str:
        return self.family.version

    @property
    def linker_flags(self) -> str:
        return f"-s -w {self.family.stamp}".strip()

    def recipe(self) -> str:
        """A digest of all that decides what is built, apart from the compiler."""
        pinned = [(self.family.folder / part).read_text() for part in ("go.mod", "go.sum")]
        parts = [RECIPE, self.package, self.linker_flags, *pinned]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def folder(self, cache: Cache) -> Path:
        return cache.toolchain / f"{self.name}-{self.version}"

    def program(self, cache: Cache) -> Path:
        """Where the program lies; `<cache>/toolchain/bin/<name>` points to it."""
        return self.folder(cache) / self.name

    def is_built(self, cache: Cache) -> bool:
        """Whether the program is there and was built by today's recipe."""
        noted = self.folder(cache) / "recipe"
        link = cache.bin / self.name
        return (
            self.program(cache).is_file()
            and noted.is_file()
            and noted.read_text() == self.recipe()
            and link.resolve() == self.program(cache).resolve()
        )


def required_version(go_mod: str, module: str) -> str | None:
    """The version at which a go.mod's text requires `module`."""
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", go_mod, re.MULTILINE)
    return found.group(1) if found else None


def _kubernetes_stamp(version: str) -> str:
    major, minor = version.removeprefix("v").split(".")[:2]
    facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(
        f"-X k8s.io/component-base/version.{key}={value}" for key, value in facts.items()
    )


KUBERNETES = Family("kubernetes", "k8s.io/kubernetes", "v1.37.1", _kubernetes_stamp("v1.37.1"))
ETCD = Family("etcd", "go.etcd.io/etcd/server/v3", "v3.7.1")
CONTAINERD = Family(
    "containerd",
    "github.com/containerd/containerd/v2",
    "v2.2.7",
    "-X github.com/containerd/containerd/v2/version.Version=v2.2.7",
)
VERSITYGW = Family("versitygw", "github.com/versity/versitygw", "v1.7.0", "-X main.Version=v1.7.0")
COREDNS = Family("coredns", "github.com/coredns/coredns", "v1.15.0")
METADATA_MOCK = Family("ec2-metadata-mock", "github.com/aws/amazon-ec2-metadata-mock", "v1.13.0")
HELM = Family(
    "helm", "helm.sh/helm/v4", "v4.2.4", "-X helm.sh/helm/v4/internal/version.version=v4.2.4"
)
KWOK = Family("kwok", "sigs.k8s.io/kwok", "v0.8.0")
TOXIPROXY = Family("toxiproxy", "github.com/Shopify/toxiproxy/v2", "v2.12.0")
KUBECONFORM = Family("kubeconform", "github.com/yannh/kubeconform", "v0.7.0")

_CONTAINERD_CMD = "github.com/containerd/containerd/v2/cmd"

# In the order in which they are built: what a control plane needs comes first.
BINARIES: tuple[Binary, ...] = (
    Binary("etcd", ETCD, "go.etcd.io/etcd/server/v3", 60),
    Binary("kube-apiserver", KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver", 375),
    Binary("kubectl", KUBERNETES, "k8s.io/kubernetes/cmd/kubectl", 30),
    Binary(
        "kube-controller-manager", KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager", 117
    ),
    Binary("kube-scheduler", KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler", 15),
    Binary("kubelet", KUBERNETES, "k8s.io/kubernetes/cmd/kubelet", 34),
    Binary("containerd", CONTAINERD, f"{_CONTAINERD_CMD}/containerd", 78),
    Binary("containerd-shim-runc-v2", CONTAINERD, f"{_CONTAINERD_CMD}/containerd-shim-runc-v2", 2),
    Binary("ctr", CONTAINERD, f"{_CONTAINERD_CMD}/ctr", 3),
    Binary("versitygw", VERSITYGW, "github.com/versity/versitygw/cmd/versitygw", 39),
    Binary("coredns", COREDNS, "github.com/coredns/coredns", 93),
    Binary("kube-proxy", KUBERNETES, "k8s.io/kubernetes/cmd/kube-proxy", 11),
    Binary("ec2-metadata-mock", METADATA_MOCK, f"{METADATA_MOCK.module}/cmd/ec2-metadata-mock", 4),
    Binary("helm", HELM, "helm.sh/helm/v4/cmd/helm", 65),
    Binary("kwok", KWOK, "sigs.k8s.io/kwok/cmd/kwok", 128, optional=True),
    Binary("toxiproxy", TOXIPROXY, "github.com/Shopify/toxiproxy/v2/cmd/server", 8, optional=True),
    Binary(
        "kubeconform", KUBECONFORM, "github.com/yannh/kubeconform/cmd/kubeconform", 3, optional=True
    ),
)


def required() -> list[Binary]:
    """What `build` builds when nothing is named."""
    return [binary for binary in BINARIES if not binary.optional]


def named(name: str) -> Binary:
    """The table's entry of that name. Raises ToolchainError listing the names there are."""
    for binary in BINARIES:
        if binary.name == name:
            return binary
    known = ", ".join(binary.name for binary in BINARIES)
    raise ToolchainError(f"no program is called {name!r}; there are: {known}")
