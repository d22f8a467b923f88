"""The project's own images, built by buildah from their Dockerfiles when their inputs change.

A Dockerfile may declare, and is then given:
BASE, BUILD_BASE                what its final and its build stages start from (`base_image.py`)
PIP_*                           pip's configuration from the caller's environment, build stages only
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .base_image import base_images
from .build import empty_folder
from .commands import Step, in_own_namespaces, need_root, output_of, perform
from .context import Context, context_key, copy_context, read_context
from .dockerfile import declared_arguments
from .errors import MissingError, ToolchainError
from .layout import PROJECT, Cache
from .locking import exclusive
from .pip_settings import pip_settings
from .progress import say
from .records import ImageRecord, current, publish

RECIPE = "1"
"""Raise it when images must be built again though none of their inputs changed."""

STORAGE_LIMIT_BYTES = 8_000_000_000
"""buildah's layer cache only grows; beyond this it is thrown away (a full set takes about 1 GB)."""

CERTIFICATES = "/etc/ssl/certs"


@dataclass(frozen=True)
class ProjectImage:
    """One Dockerfile of ours, relative to the project's root, which is also its context."""

    name: str
    dockerfile: str
    expected_seconds: float


PROJECT_IMAGES = (
    ProjectImage("operator", "Dockerfile", 60),
    ProjectImage("sidecar", "trainer-sidecar/Dockerfile", 50),
    ProjectImage("digits", "examples/digits/Dockerfile", 60),
)


def project_image(name: str) -> ProjectImage:
    """The table's entry. Raises ToolchainError listing the names there are."""
    for image in PROJECT_IMAGES:
        if image.name == name:
            return image
    known = ", ".join(image.name for image in PROJECT_IMAGES)
    raise ToolchainError(f"no image is called {name!r}; there are: {known}")


def build_image(image: ProjectImage, cache: Cache) -> ImageRecord:
    """The image, built now unless one with the same inputs is there.

    Raises MissingError when its Dockerfile or root is not there, StepError when its build fails.
    """
    base, build_base = base_images(cache)
    with exclusive(cache.lock("images"), say):
        context = read_context(PROJECT, image.dockerfile)
        key = context_key(context, [RECIPE, base.key, build_base.key])
        if (found := current(cache, image.name, key)) is not None:
            say(f"  image {image.name}: unchanged, {sizes(found)}")
            return found
        need_root(f"building the image {image.name}")
        return _build(image, context, key, (base, build_base), cache)


def sizes(record: ImageRecord) -> str:
    """The image's unpacked size, whole and beside the base that all share."""
    return f"{record.megabytes:.0f} MB ({record.megabytes_beside_base:.0f} MB beside the base)"


def _build(
    image: ProjectImage,
    context: Context,
    key: str,
    bases: tuple[ImageRecord, ImageRecord],
    cache: Cache,
) -> ImageRecord:
    scratch = empty_folder(cache.scratch("images"))
    copy_context(context, scratch / "context")
    buildah = _Buildah(cache, scratch)
    buildah.sweep()
    for base in bases:
        buildah.load(base)

    def make(archive: Path, reference: str) -> None:
        step = _bud(image, reference, bases, buildah, scratch / "context")
        perform(step, cache.logs / f"image-{image.name}.log")
        buildah.save(reference, archive)

    record = publish(cache, image.name, key, make, base_bytes=bases[0].bytes)
    buildah.forget_all_but(record.reference, image.name)
    shutil.rmtree(scratch)
    say(f"  image {image.name}: {sizes(record)}")
    return record


def _bud(
    image: ProjectImage,
    reference: str,
    bases: tuple[ImageRecord, ImageRecord],
    buildah: _Buildah,
    context: Path,
) -> Step:
    dockerfile = PROJECT / image.dockerfile
    pip = pip_settings(os.environ)
    arguments = build_arguments(
        declared_arguments(dockerfile.read_text()),
        {"BASE": bases[0].reference, "BUILD_BASE": bases[1].reference},
        pip,
    )
    options = [
        *("--isolation", "chroot", "--format", "docker", "--layers", "--pull-never"),
        *(part for mount in host_mounts(pip) for part in ("-v", f"{mount}:{mount}:ro")),
        *(part for pair in arguments.items() for part in ("--build-arg", "=".join(pair))),
        *("-f", str(dockerfile), "-t", reference, str(context)),
    ]
    return Step(f"image {image.name}", buildah.command("bud", *options), image.expected_seconds)


def build_arguments(
    declared: set[str], bases: Mapping[str, str], pip: Mapping[str, str]
) -> dict[str, str]:
    """The arguments to pass: those that the Dockerfile declares, and no others.

    pip inside trusts the machine's own authorities, which are mounted, unless PIP_CERT says else.
    """
    given = {"PIP_CERT": f"{CERTIFICATES}/ca-certificates.crt", **pip, **bases}
    return {name: value for name, value in given.items() if name in declared}


def host_mounts(pip: Mapping[str, str]) -> list[str]:
    """What of the machine a build may read: its authorities, and local paths named to pip."""
    named = [pip.get("PIP_CERT", ""), *pip.get("PIP_FIND_LINKS", "").split()]
    local = [path for path in named if path.startswith("/") and Path(path).exists()]
    outside = [path for path in local if not path.startswith(f"{CERTIFICATES}/")]
    return [CERTIFICATES, *dict.fromkeys(outside)]


class _Buildah:
    """buildah on a storage of our own; every call in namespaces of its own."""

    def __init__(self, cache: Cache, scratch: Path) -> None:
        if shutil.which("buildah") is None:
            raise MissingError("buildah is missing; run: python3 hack/toolchain packages")
        self.storage = cache.images / "storage"
        self.runroot = scratch / "run"

    def command(self, *arguments: str) -> list[str]:
        roots = ["--root", str(self.storage), "--runroot", str(self.runroot)]
        return in_own_namespaces(["buildah", *roots, *arguments])

    def sweep(self) -> None:
        """Drop what killed builds left, and the whole layer cache once it has grown too large."""
        if _bytes_under(self.storage) > STORAGE_LIMIT_BYTES:
            say("  the layer cache of image builds is too large; starting a new one")
            shutil.rmtree(self.storage)
        output_of(self.command("rm", "--all"), limit=120)

    def load(self, record: ImageRecord) -> None:
        """Make an archive's image known under its reference, if it is not."""
        known = output_of(self.command("images", "--format", "{{.Name}}:{{.Tag}}"))
        if record.reference not in known.split():
            output_of(self.command("pull", "-q", f"docker-archive:{record.archive}"), limit=300)

    def save(self, reference: str, archive: Path) -> None:
        target = f"docker-archive:{archive}:{reference}"
        output_of(self.command("push", "-q", reference, target), limit=300)

    def forget_all_but(self, reference: str, name: str) -> None:
        """Older builds' names; their layers stay as cache until `sweep` finds it too large."""
        prefix = f"{reference.rpartition('/')[0]}/{name}:"
        known = output_of(self.command("images", "--format", "{{.Name}}:{{.Tag}}")).split()
        for old in [name for name in known if name.startswith(prefix) and name != reference]:
            output_of(self.command("rmi", old), limit=120)


def _bytes_under(folder: Path) -> int:
    if not folder.exists():
        return 0
    # Files vanish and appear only under our own lock, so du's answer is good.
    return int(output_of(["du", "-s", "--block-size=1", str(folder)], limit=300).split()[0])
