"""kubectl on one cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .commands import program, run
from .errors import CommandError

Object = dict[str, Any]


class Kubectl:
    """Runs kubectl with the cluster's kubeconfig; its caches stay in the cluster's directory."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: str, stdin: str | None = None, within: float = 60) -> str:
        """What it prints; raises `CommandError` when it fails."""
        home = self.kubeconfig.parent
        where = ("--kubeconfig", str(self.kubeconfig), "--cache-dir", str(home / "kubectl"))
        env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "KUBECTL_KUBERC": "false"}
        return run(program("kubectl"), *where, *arguments, stdin=stdin, within=within, env=env)

    def answers(self, *arguments: str) -> bool:
        """Whether the command succeeds, soon."""
        try:
            self(*arguments, within=10)
        except CommandError:
            return False
        return True

    def items(self, kind: str) -> list[Object]:
        return list(json.loads(self("get", kind, "--output", "json"))["items"])

    def apply(self, objects: list[Object]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self("apply", "--filename", "-", stdin=text)
