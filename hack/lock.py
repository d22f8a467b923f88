"""Resolve the dependencies into `requirements/*.txt`, pinned by hash and naming no host.

Each file is one environment: the operator's image, the sidecar's, a trainer's, development.
`torch.txt` is installed on top of `dev.txt` and agrees with it on what both have.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILE = (
    str(ROOT / ".venv/bin/uv"),
    *("pip", "compile", "--quiet", "--generate-hashes", "--python-version", "3.11"),
    *("--custom-compile-command", "make lock"),
)
OPERATOR, SIDECAR, SDK = (
    f"{member}/pyproject.toml" for member in ("operator", "trainer-sidecar", "trainer-sdk")
)
# The SDK is our own package: it comes from the checkout, never from a registry.
OURS = ("--no-emit-package", "spot-training")
ENVIRONMENTS = {
    "operator": (OPERATOR,),
    "sidecar": (SIDECAR, *OURS),
    "sdk": (SDK, "--extra", "fast"),
    "dev": (
        *(OPERATOR, SIDECAR, SDK, "--extra", "fast", "--extra", "s3"),
        *("--group", "pyproject.toml:dev", *OURS),
    ),
    "torch": (
        *(SDK, "--extra", "torch", "--group", "pyproject.toml:trainers"),
        *("--constraint", "requirements/dev.txt"),
    ),
    "digits": ("requirements/digits.in",),
    "uv": ("requirements/uv.in",),
}


def main() -> None:
    """Write every requirements file; raises CalledProcessError when one does not resolve."""
    for name, sources in ENVIRONMENTS.items():
        subprocess.run(
            [*COMPILE, *sources, "--output-file", f"requirements/{name}.txt"],
            cwd=ROOT,
            check=True,
        )
        print(f"requirements/{name}.txt")


if __name__ == "__main__":
    main()
