"""The operator as a process on the host, against a real API server."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kit.ports import free_port

__all__ = ["NAMESPACE", "OperatorProcess", "wait_until"]

NAMESPACE: Final = "spot-system"


@dataclass
class OperatorProcess:
    """One replica. `start` it, ask its endpoints, end it by a signal."""

    kubeconfig: str
    name: str
    log: Path
    flags: dict[str, str] = field(default_factory=dict)
    """What is told differently."""
    metrics_port: int = field(default_factory=free_port)
    probe_port: int = field(default_factory=free_port)
    reports_port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Run `python -m spot_operator`."""
        usual = {
            "kubeconfig": self.kubeconfig,
            "namespace": NAMESPACE,
            "pod-name": self.name,
            # An address for documentation: the server takes no loopback one for an endpoint.
            "pod-ip": "192.0.2.1",
            "sidecar-image": "sidecar:test",
            "metrics-port": self.metrics_port,
            "probe-port": self.probe_port,
            "reports-port": self.reports_port,
            "lease-seconds": 4,
            "renew-deadline-seconds": 3,
            "retry-seconds": 0.5,
        }
        chosen = {**usual, **self.flags}
        arguments = [f"--{name}={value}" for name, value in chosen.items()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "spot_operator", *arguments],
                stderr=log,
                stdout=log,
                env={**os.environ, "KUBECONFIG": self.kubeconfig, "PYTHONWARNINGS": "default"},
            )

    def get(self, path: str, port: int | None = None) -> tuple[int, str]:
        """Status and text of an endpoint; status 0 while nobody answers."""
        url = f"http://127.0.0.1:{port or self.metrics_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def leads(self) -> bool:
        """Whether it says that it leads, with synced caches."""
        status, text = self.get("/readyz")
        return status == 200 and text.startswith("leading")

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric's samples, of those with `label` if it is given: `kind="pods"`."""
        _, text = self.get("/metrics")
        labels = rf"{{.*{re.escape(label)}.*}}" if label else "(?:{.*})?"
        found = re.findall(rf"^spot_training_operator_{name}{labels} (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    def end(self, sent: signal.Signals = signal.SIGTERM, *, within: float = 20.0) -> int:
        """Send a signal and return the exit code."""
        assert self._process is not None
        self._process.send_signal(sent)
        return self._process.wait(timeout=within)

    def stop(self) -> None:
        """Whatever state it is in, be rid of it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=10)


def wait_until(what: Callable[[], bool], said: str, *, limit: float = 30.0) -> None:
    """Return when `what` holds. Raises AssertionError when it does not within `limit` seconds."""
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, f"no {said} within {limit:.0f} s"
        time.sleep(0.1)
