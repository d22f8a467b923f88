"""The commands. Progress goes to stderr; what a caller may want to read goes to stdout."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from .base_image import base_images
from .binaries import BINARIES, named, required
from .build import build
from .doctor import examine, healthy, report
from .errors import ToolchainError
from .images import PROJECT_IMAGES, build_image, project_image, sizes
from .layout import Cache, cache_from
from .machine_disk import machine_disk
from .packages import SYSTEM_PATH, install_missing
from .pause_image import pause_image
from .progress import say
from .wheels import find_uv

Command = Callable[[argparse.Namespace, Cache], int]


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status: 0, 1 for what a person can mend, 130 on Ctrl-C."""
    parsed = _parser().parse_args(arguments)
    run: Command = parsed.run
    # After `su` without a dash, root's PATH has none of the folders where debootstrap lies.
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    try:
        return run(parsed, cache_from(os.environ))
    except ToolchainError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; the next run goes on from what is done")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 hack/toolchain", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    names = ", ".join(binary.name for binary in BINARIES)
    for name, run, explained in _COMMANDS:
        command = commands.add_parser(name, help=explained, description=explained)
        command.set_defaults(run=run)
        if name == "build":
            command.add_argument("names", nargs="*", help=f"of: {names}")
        elif name == "path":
            command.add_argument("name", help=f"one of: {names}")
        elif name == "image":
            images = [image.name for image in PROJECT_IMAGES]
            command.add_argument("name", help=f"one of: {', '.join(images)}")
    return parser


def _build(parsed: argparse.Namespace, cache: Cache) -> int:
    build([named(name) for name in parsed.names] or required(), cache)
    return 0


def _path(parsed: argparse.Namespace, cache: Cache) -> int:
    binary = named(parsed.name)
    if not binary.is_built(cache):
        raise ToolchainError(f"{binary.name} is not built; run: python3 hack/toolchain build")
    print(cache.bin / binary.name)
    return 0


def _doctor(_parsed: argparse.Namespace, cache: Cache) -> int:
    findings = examine(cache)
    print(report(findings))
    return 0 if healthy(findings) else 1


def _packages(_parsed: argparse.Namespace, cache: Cache) -> int:
    install_missing(cache)
    return 0


def _base_image(_parsed: argparse.Namespace, cache: Cache) -> int:
    for record in base_images(cache):
        print(record.to_json())
    return 0


def _pause_image(_parsed: argparse.Namespace, cache: Cache) -> int:
    print(pause_image(cache).to_json())
    return 0


def _machine_disk(_parsed: argparse.Namespace, cache: Cache) -> int:
    print(machine_disk(cache))
    return 0


def _image(parsed: argparse.Namespace, cache: Cache) -> int:
    print(build_image(project_image(parsed.name), cache).to_json())
    return 0


def _images(_parsed: argparse.Namespace, cache: Cache) -> int:
    for image in PROJECT_IMAGES:
        record = build_image(image, cache)
        print(f"{record.reference}  {sizes(record)}")
    return 0


def _uv(_parsed: argparse.Namespace, cache: Cache) -> int:
    print(find_uv(cache))
    return 0


def _all(_parsed: argparse.Namespace, cache: Cache) -> int:
    install_missing(cache)
    build(required(), cache)
    for record in (*base_images(cache), pause_image(cache)):
        print(f"{record.reference}  {record.megabytes:.0f} MB")
    machine_disk(cache)
    return 0


_COMMANDS: tuple[tuple[str, Command, str], ...] = (
    ("all", _all, "packages, programs, base images, machine disk: what the local cluster needs"),
    ("build", _build, "build the programs that are missing"),
    ("path", _path, "print where a program lies"),
    ("packages", _packages, "install the Debian packages that are missing (as root)"),
    ("base-image", _base_image, "make the base images by debootstrap (as root)"),
    ("pause-image", _pause_image, "make the pause image"),
    ("machine-disk", _machine_disk, "make the disk of nodes with their own kernel (as root)"),
    ("image", _image, "build one of the project's images if its inputs changed (as root)"),
    ("images", _images, "build all of the project's images whose inputs changed (as root)"),
    ("uv", _uv, "print where uv lies; installs it into the cache when PATH has none"),
    ("doctor", _doctor, "say what this machine lacks; exit status 1 if anything"),
)
