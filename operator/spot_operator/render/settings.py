"""What every rendered pod has in common, whatever the job."""

from dataclasses import dataclass

__all__ = ["RenderSettings"]


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """The operator's own part of a pod. `settings.py` of the operator explains the values."""

    sidecar_image: str
    """Image of the sidecar, with tag or digest."""
    reports_url: str
    """Where the sidecar reports to: scheme, service name and port, no path."""
    ca_bundle: str
    """Certificates (PEM) by which the sidecar knows the reports server; may hold several."""
    image_pull_policy: str = "IfNotPresent"
    """Pull policy of the sidecar's image."""
    sidecar_pull_secrets: tuple[str, ...] = ()
    """Secrets of the pod's namespace by which the sidecar's image is pulled."""
    sidecar_cpu_request: str = "100m"
    """Processor time the scheduler keeps for the sidecar: uploads hash what they send."""
    sidecar_cpu_limit: str | None = None
    """None lets a flush use every idle core, which is what a deadline wants."""
    report_seconds: int = 15
    """Time between two reports of a sidecar that has nothing urgent to say."""
    imds_enabled: bool = True
    """Whether the sidecar asks the cloud's metadata service for notices."""
    imds_endpoint: str = "http://169.254.169.254"
    """Where that service answers."""
