"""The operator's settings. Each field's text is its manual; `--help` shows the same.

A field is set by a flag (`--sidecar-image`), else by the environment
(`SPOT_OPERATOR_SIDECAR_IMAGE`), else by its default. A field without default must be set.
"""

import argparse
import ast
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from itertools import pairwise
from typing import Any, Final, Literal

from spot_operator.control.lease import LeaseTimes

__all__ = ["ENV_PREFIX", "Settings", "listed", "manual", "parse"]

ENV_PREFIX: Final = "SPOT_OPERATOR_"
MAX_REPORT_SECONDS: Final = 30
"""What decides by silence (lost nodes, stalls, conditions) takes several missing reports for it."""
_NAMESPACE: Final = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All that can be set."""

    namespace: str
    """The namespace the operator runs in: its Lease, Secret and Service live there."""
    pod_name: str
    """The name of this replica's pod: the name under which it leads and speaks."""
    pod_ip: str
    """The address of this replica's pod; the reports Service has it while this replica leads."""
    sidecar_image: str
    """Image of the sidecar in every training pod, with tag or digest."""
    sidecar_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Pull policy of the sidecar's image."""
    sidecar_pull_secrets: str = ""
    """Names of Secrets, with commas between, by which training pods pull the sidecar's image."""
    sidecar_cpu_request: str = "100m"
    """Processor time the scheduler keeps for each sidecar; uploads hash what they send."""
    sidecar_cpu_limit: str = ""
    """Limit of a sidecar's processor time; empty lets a flush use every idle core."""
    reports_service: str = "spot-training-reports"
    """Name of the Service, without selector, that sidecars report to."""
    reports_secret: str = "spot-training-reports-ca"  # noqa: S105 - a name
    """Name of the Secret that holds the reports server's authority; the chart creates it empty."""
    reports_port: int = 8443
    """Port of the reports server, in the pod and of the Service."""
    report_seconds: int = 15
    """Time between two reports of a sidecar that has nothing urgent to say, from 1 to 30: a node
    whose pods are silent for longer may count as lost."""
    imds_enabled: bool = True
    """Whether sidecars ask the cloud's metadata service for notices."""
    imds_endpoint: str = "http://169.254.169.254"
    """Where the metadata service answers."""
    metrics_port: int = 8080
    """Port of /metrics, /readyz and /livez, plain HTTP."""
    probe_port: int = 8081
    """Port of the liveness endpoint of the process's shell, on the loopback alone."""
    watch_namespaces: str = ""
    """The namespaces whose jobs it runs, with commas between; empty means every namespace."""
    claims_namespace: str = "kube-system"
    """Where all releases record which namespaces they watch, so that no two run the same jobs."""
    claim_seconds: float = 60.0
    """Another release takes over when this one's record has not changed for so long; at least
    twice `lease_seconds`, so that another replica of this release comes first."""
    owner_cluster_role: str = ""
    """The ClusterRole that owns what the operator makes for itself, which goes with it."""
    lease_name: str = "spot-training-operator"
    """Name of the Lease by which the replicas agree on a leader."""
    lease_seconds: float = 15.0
    """A replica that has seen the Lease unchanged for so long takes it."""
    renew_deadline_seconds: float = 10.0
    """A leader that could not renew for so long stops; must be less than `lease_seconds`."""
    retry_seconds: float = 2.0
    """Time between two renewals; must be less than `renew_deadline_seconds`."""
    figures_per_second: float = 5.0
    """Status writes per second, over all jobs, that bring nothing but figures up to date."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is worth a line in the log."""
    log_format: Literal["json", "text"] = "json"
    """How a line of the log looks: for machines or for people."""
    kubeconfig: str = ""
    """A kubeconfig file to use outside a cluster; empty: as kubectl would, or the pod's own."""
    context: str = ""
    """The kubeconfig's context to use; empty: its current one."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces it watches, each once; empty means every one."""
        return listed(self.watch_namespaces)

    @property
    def reports_url(self) -> str:
        """Where sidecars report to."""
        return f"https://{self.reports_service}.{self.namespace}.svc:{self.reports_port}"


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from the command line and the environment.

    Raises:
        SystemExit: a value is missing or wrong; the parser has said which and why.
    """
    parser = argparse.ArgumentParser(
        prog="spot-operator",
        description="Reconciles SpotTrainingJobs onto spot capacity.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    texts = manual()
    for field in fields(Settings):
        _add(parser, field, texts[field.name])
    # The environment as flags before the given ones: it is checked the same way, and loses.
    values = vars(parser.parse_args([*_as_flags(environment), *arguments]))
    missing = [name for name, value in values.items() if value is None]
    if missing:
        names = ", ".join(f"{_flag(name)} (or {_variable(name)})" for name in missing)
        parser.error(f"set {names}")
    settings = Settings(**values)
    if not 1 <= settings.report_seconds <= MAX_REPORT_SECONDS:
        parser.error(f"{_flag('report_seconds')}: write 1 to {MAX_REPORT_SECONDS}")
    try:
        _check(settings)
    except ValueError as error:
        parser.error(str(error))
    return settings


def _check(settings: Settings) -> None:
    """What no single value shows. Raises ValueError."""
    lease = settings.lease_seconds
    LeaseTimes(lease, settings.renew_deadline_seconds, settings.retry_seconds)
    if settings.claim_seconds < 2 * lease:
        raise ValueError(
            f"--claim-seconds must be at least twice --lease-seconds, which is {lease:g}, "
            f"not {settings.claim_seconds:g}"
        )
    for name in settings.namespaces:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"--watch-namespaces: {name!r} is not the name of a namespace")


def listed(text: str) -> tuple[str, ...]:
    """The words of `text` between its commas, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def manual() -> dict[str, str]:
    """The text under each field, by the field's name."""
    tree = ast.parse(inspect.getsource(Settings))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    return {
        before.target.id: str(after.value.value)
        for before, after in pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }


def _as_flags(environment: Mapping[str, str]) -> list[str]:
    known = ((field.name, environment.get(_variable(field.name))) for field in fields(Settings))
    return [f"{_flag(name)}={value}" for name, value in known if value is not None]


def _add(parser: argparse.ArgumentParser, field: Field[Any], text: str) -> None:
    default = None if field.default is MISSING else field.default
    kind = str if default is None else type(default)
    choices = getattr(field.type, "__args__", None)
    parser.add_argument(
        _flag(field.name),
        default=default,
        type=_truth if kind is bool else kind,
        choices=choices,
        help=f"{text.replace('%', '%%')} [{_variable(field.name)}]",
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _variable(name: str) -> str:
    return ENV_PREFIX + name.upper()


def _truth(text: str) -> bool:
    words = {"true": True, "false": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r}: write true or false")
    return words[text.lower()]
