"""kubectl as a user has it: the e2e tests and the demo touch the cluster in no other way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Object = dict[str, Any]


class KubectlError(RuntimeError):
    """kubectl ended with an error; the message is what it printed."""


class Kube:
    """One cluster, one namespace."""

    def __init__(self, program: Path, kubeconfig: Path, namespace: str = "default") -> None:
        self.program, self.kubeconfig, self.namespace = program, kubeconfig, namespace
        self._command = (str(program), "--kubeconfig", str(kubeconfig))

    def run(self, *arguments: str, stdin: str | None = None, within: float = 60) -> str:
        """What kubectl prints; raises `KubectlError` when it refuses."""
        done = subprocess.run(
            [*self._command, "--namespace", self.namespace, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None when there is none."""
        found = self.run("get", kind, name, "--ignore-not-found", "--output", "json")
        return json.loads(found) if found.strip() else None

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """All objects of the kind, chosen by label when `selector` is given."""
        chosen = ("--selector", selector) if selector else ()
        found: Object = json.loads(self.run("get", kind, *chosen, "--output", "json"))
        return list(found["items"])

    def apply(self, *objects: Object) -> str:
        """What a user's `kubectl apply -f` does with these objects."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self.run("apply", "--filename", "-", stdin=text)

    def delete(self, kind: str, name: str, *, wait: bool = False) -> None:
        """Delete it; it may be gone already."""
        self.run("delete", kind, name, "--ignore-not-found", f"--wait={str(wait).lower()}")

    def merge(self, kind: str, name: str, change: Object) -> None:
        """Apply a JSON merge patch."""
        self.run("patch", kind, name, "--type", "merge", "--patch", json.dumps(change))

    @contextmanager
    def follow(self, pod: str, container: str) -> Iterator[subprocess.Popen[str]]:
        """`kubectl logs --follow`; killed at the end, since a dead node never ends the stream."""
        process = subprocess.Popen(
            [
                *self._command,
                *("--namespace", self.namespace, "logs", "--follow", pod, "--container", container),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=10)
            if process.stdout:
                process.stdout.close()
