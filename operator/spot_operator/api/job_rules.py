"""The rules of a SpotTrainingJob."""

from typing import Final

from spot_operator.api import job, keep, names
from spot_operator.api.durations import PATTERN
from spot_operator.api.resume_rules import RESUME_FROM
from spot_operator.api.rules import Rule, duration, immutable, subdomain
from spot_operator.api.script_rules import SCRIPT
from spot_operator.api.template_rules import TEMPLATE

_STORE: Final = "spec.checkpoint.store"
_S3: Final = f"{_STORE}.s3"
_VOLUME: Final = f"{_STORE}.volume"


def _inner_path(at: str, what: str) -> Rule:
    """A path below a bucket or volume that cannot lead out of it."""
    return Rule(
        name=f"{what} without stray slashes",
        at=at,
        cel=r"self == '' || self.matches('^[A-Za-z0-9!_.*()=-]+(/[A-Za-z0-9!_.*()=-]+)*$')"
        r" && !self.matches('(^|/)[.][.]?(/|$)')",
        message=f'write the {what} as "teams/vision": letters, digits and !_.*()=-, '
        "parts other than . and .. joined by single slashes, none at either end",
    )


JOB: Final[tuple[Rule, ...]] = (
    Rule(
        name="short name",
        at="",
        cel=f"size(self.metadata.name) <= {names.MAX_JOB_NAME}",
        message=f"choose a name of at most {names.MAX_JOB_NAME} characters: "
        "the names of pods and hosts add the attempt and the rank to it",
        field=".metadata.name",
    ),
    Rule(
        name="name without dots",
        at="",
        cel="!self.metadata.name.contains('.')",
        message="choose a name without dots: the host names of pods contain it",
        field=".metadata.name",
    ),
    immutable("spec.template"),
    immutable("spec.checkpoint.store"),
    immutable("spec.checkpoint.staging"),
    immutable("spec.checkpoint.source"),
    *RESUME_FROM,
    immutable("spec.completion"),
    duration(
        "spec.checkpoint.interval", job.MIN_INTERVAL, job.MAX_INTERVAL, word=str(job.ADAPTIVE)
    ),
    duration("spec.checkpoint.maxLostWork", job.MIN_LOST_WORK, job.MAX_INTERVAL),
    Rule(
        name="interval within maxLostWork",
        at="spec.checkpoint",
        # What is not a duration, or too short, is refused by its own rule.
        cel=f"!has(self.maxLostWork) || !self.interval.matches('{PATTERN}')"
        f" || !self.maxLostWork.matches('{PATTERN}') || size(self.interval) < 2"
        " || size(self.maxLostWork) < 2 || duration(self.maxLostWork) < duration('10s')"
        " || duration(self.interval) < duration(self.maxLostWork)",
        message="choose an interval shorter than maxLostWork, or Adaptive, which keeps to it",
        field=".interval",
    ),
    duration("spec.checkpoint.keep.milestoneEvery", keep.MIN_MILESTONE, None),
    duration("spec.stallTimeout", job.MIN_STALL_TIMEOUT, None),
    subdomain("spec.policyName", "a SpotPolicy"),
    subdomain(f"{_S3}.credentialsSecretName", "a Secret"),
    Rule(
        name="bucket name",
        at=f"{_S3}.bucket",
        cel=r"self.matches('^[a-z0-9][a-z0-9.-]+[a-z0-9]$')",
        message="write the bucket's name alone: 3 to 63 lower case letters, digits, '-' and '.'; "
        "a path inside the bucket belongs in prefix",
    ),
    Rule(
        name="one store",
        at=_STORE,
        cel="has(self.s3) != has(self.volume)",
        message="write exactly one of s3 and volume",
    ),
    subdomain(f"{_VOLUME}.claimName", "a PersistentVolumeClaim"),
    _inner_path(f"{_S3}.prefix", "prefix"),
    _inner_path(f"{_VOLUME}.path", "path"),
    Rule(
        name="one authority",
        at=f"{_S3}.caBundle",
        cel="has(self.secretName) != has(self.configMapName)",
        message="write exactly one of secretName and configMapName",
    ),
    subdomain(f"{_S3}.caBundle.secretName", "a Secret"),
    subdomain(f"{_S3}.caBundle.configMapName", "a ConfigMap"),
    Rule(
        name="key of an authority",
        at=f"{_S3}.caBundle.key",
        cel="self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && self != '..'",
        message="write a key of the object, as ca.crt: letters, digits, '-', '_' and '.'",
    ),
    Rule(
        name="authority for https",
        at=_S3,
        cel="!has(self.caBundle) || !has(self.endpointURL)"
        " || self.endpointURL.startsWith('https://')",
        message="leave caBundle out for an endpoint of plain http, or write https://",
        field=".caBundle",
    ),
    Rule(
        name="endpoint URL",
        at=f"{_S3}.endpointURL",
        cel=r"self.matches('^https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$')"
        r" || self.matches('^https?://\\[[0-9A-Fa-f:.]+\\](:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$')",
        message='write a URL such as "https://minio.storage.svc:9000"; '
        "credentials belong in a Secret, see credentialsSecretName",
    ),
    Rule(
        name="region",
        at=f"{_S3}.region",
        cel="self.matches('^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$')",
        message='write the region\'s name, as "eu-central-1"',
    ),
    Rule(
        name="staging has room",
        at="spec.checkpoint.staging.sizeLimit",
        # A bare number has no text form that quantity() would read.
        cel="type(self) == int ? self >= 1048576 : (isQuantity(self)"
        " && quantity(self).compareTo(quantity('1Mi')) >= 0)",
        message='write a quantity of at least 1Mi, as "4Gi"',
    ),
    *SCRIPT,
    *TEMPLATE,
)
"""Every rule of the kind, those on the template included."""
