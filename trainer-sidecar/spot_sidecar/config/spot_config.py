"""SPOT_CONFIG: all that the operator tells the sidecar when it creates the pod.

Unknown fields are left alone, so that an older sidecar runs under a newer operator; what it cannot
honour changes `version`, which is refused.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from spot_training.checkpoint.keys import lineage_name
from spot_training.checkpoint.retention import NEWEST

from spot_sidecar.config.paths import Paths

__all__ = [
    "Config",
    "ConfigError",
    "JobName",
    "Pacing",
    "Pod",
    "PurgeConfig",
    "ResumeFrom",
    "S3Store",
    "Settings",
    "Store",
    "VolumeStore",
    "parse_purge_config",
    "read_settings",
]

SUPPORTED = 2
"""Versions of SPOT_CONFIG from 1 to this one are read: 2 says that the job resumes from another's
lineage, which a sidecar that knows nothing of it must not take for a job that begins from zero."""
PORT = 8390
"""Drain hook, health and metrics; SPOT_PORT moves it (tests)."""


class ConfigError(ValueError):
    """The environment does not say what the sidecar needs; the message names what to change."""


class Model(BaseModel):
    """JSON in camelCase, immutable."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore")


Read = TypeVar("Read", bound=Model)
Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class JobName(Model):
    """The job this pod belongs to."""

    namespace: Name
    name: Name
    uid: Name


class S3Store(Model):
    """Where the checkpoints of the job lie."""

    bucket: Name
    prefix: str = ""
    endpoint_url: str | None = Field(default=None, alias="endpointURL")
    region: str | None = None
    credentials_dir: Path | None = None
    """Files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; none: pod identity."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    ca_file: Path | None = None
    """The store's private authority (PEM); it may change at any time."""


class VolumeStore(Model):
    """A directory in a mounted volume."""

    mount: Path
    path: str = ""


class Store(Model):
    """Exactly one kind of store."""

    s3: S3Store | None = None
    volume: VolumeStore | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.s3 is None) == (self.volume is None):
            raise ValueError("exactly one of s3 and volume must be given")
        return self


class Reports(Model):
    """Where the sidecar tells the operator how it is going."""

    url: str = Field(pattern="^https://")
    interval: float = Field(default=15.0, gt=0)


class Imds(Model):
    """The EC2 metadata service."""

    enabled: bool = True
    endpoint: str = Field(default="http://169.254.169.254", pattern="^https?://")


class Notices(Model):
    """Which sources of termination notices are asked."""

    imds: Imds = Imds()


class Directory(Model):
    """A script that knows nothing of us writes its own checkpoints to a directory."""

    path: str = Field(pattern="^/")
    """Where the script sees the directory."""
    format: Literal["HuggingFace", "Lightning", "DCP", "Plain"]
    settle_seconds: float = Field(default=5.0, ge=0)
    """How long a set must stand still before it counts."""
    marker: str = ""
    """Of Plain: the file that is written last."""
    processes: int = Field(default=1, ge=1)
    """Of HuggingFace: how many processes train, at least."""
    resume_args: bool = False
    """Whether the script is told by arguments what to resume from."""


class Saves(Model):
    """What saving cost in the attempts before; seconds, bytes, bytes per second."""

    stall_seconds: float = Field(ge=0)
    commit_latency_seconds: float = Field(ge=0)
    commit_overhead_seconds: float = Field(default=0.0, ge=0)
    state_bytes: int = Field(default=0, ge=0)
    upload_bytes_per_second: float = Field(gt=0)
    saves: int = Field(default=1, ge=0)
    slowdown: float | None = Field(default=None, ge=0, lt=1)
    step_seconds: float | None = Field(default=None, ge=0)


class Pacing(Model):
    """How the interval between checkpoints is found. Durations are seconds."""

    adaptive: bool = False
    """Decide it here, from what is measured; else `interval` is what the job asks for."""
    max_lost_work: float | None = Field(default=None, gt=0)
    incidents: float = Field(default=1.0, gt=0)
    """Interruptions of this job so far, the prior's share included; old ones count for less."""
    exposure_hours: float = Field(default=24.0, gt=0)
    """The hours they came in, likewise."""
    saved_share: float = Field(default=0.1, ge=0, lt=1)
    """Of the interruptions, the share (cautiously) before which a last save commits."""
    measured: Saves | None = None


class Keep(Model):
    """Which checkpoints stay; see `spot_training.checkpoint.retention`. Durations are seconds."""

    newest: int = Field(default=NEWEST, ge=NEWEST)
    """Verified ones that stay."""
    milestone_every: float | None = Field(default=None, gt=0)
    """Of each such span one stays for good."""
    pause: float = Field(default=60.0, ge=0)
    """At least, between two passes over what may be deleted."""


class ResumeFrom(JobName):
    """The other job whose lineage, in the same store, this one goes on from."""

    checkpoint: str | None = None
    """This one and no other; None: the newest that verifies."""

    @property
    def lineage(self) -> str:
        """Its name in documents and reports."""
        return lineage_name(self.namespace, self.name, self.uid)


class PurgeConfig(Model):
    """What a pod is told that deletes a job's lineage."""

    version: int
    job: JobName
    store: Store


class Config(Model):
    """The parsed SPOT_CONFIG. Durations are seconds, sizes bytes."""

    version: int
    job: JobName
    attempt: int = Field(ge=1, lt=10**8)
    rank: int = Field(default=0, ge=0, lt=10**5)
    ranks: int = Field(default=1, ge=1, lt=10**5)
    store: Store
    interval: float = Field(ge=0)
    """Between two checkpoints; the one to begin with where `pacing` is adaptive."""
    pacing: Pacing = Pacing()
    directory: Directory | None = None
    """None: the trainer uses the SDK."""
    high_water_step: int = Field(default=0, ge=0)
    """The furthest step any earlier attempt reached: what is below it is replayed work."""
    keep: Keep = Keep()
    on_none_valid: Literal["Fail", "StartFresh"] = "Fail"
    resume_from: ResumeFrom | None = None
    staging_bytes: int = Field(gt=0)
    """What arenas and the restored checkpoint may take of the shared memory."""
    drain_token: str = Field(min_length=8)
    grace_seconds: float = Field(gt=0)
    """The pod's terminationGracePeriodSeconds."""
    reports: Reports
    notices: Notices = Notices()


class Pod(Model):
    """Who this pod is, by the downward API."""

    name: str
    uid: str
    node: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the sidecar is told at its start."""

    config: Config
    pod: Pod
    paths: Paths
    host: str | None
    """Address of the TCP port; none: every address of the pod, IPv4 and IPv6."""
    port: int


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Parse the environment.

    Raises:
        ConfigError: it is incomplete or wrong.
    """
    return Settings(
        config=parse_config(environment.get("SPOT_CONFIG")),
        pod=Pod(
            name=_required(environment, "POD_NAME"),
            uid=_required(environment, "POD_UID"),
            node=_required(environment, "NODE_NAME"),
        ),
        paths=Paths.from_environment(environment),
        host=environment.get("SPOT_HOST") or None,
        port=_port(environment.get("SPOT_PORT", str(PORT))),
    )


def parse_config(text: str | None) -> Config:
    """Read SPOT_CONFIG.

    Raises:
        ConfigError: it is missing, no JSON, of another version, or has wrong fields (all named).
    """
    config = _parsed(Config, text)
    if config.rank >= config.ranks:
        raise ConfigError(
            f"SPOT_CONFIG is not valid: rank {config.rank} of {config.ranks} ranks "
            "(ranks count from 0)"
        )
    return config


def parse_purge_config(text: str | None) -> PurgeConfig:
    """Read that of a pod that deletes a lineage; raises ConfigError like `parse_config`."""
    return _parsed(PurgeConfig, text)


def _parsed(kind: type[Read], text: str | None) -> Read:
    if not text:
        raise ConfigError("SPOT_CONFIG is not set: the sidecar is started by the operator, with it")
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"SPOT_CONFIG is not JSON: {error}") from None
    version = raw.get("version") if isinstance(raw, dict) else None
    if not isinstance(version, int) or not 1 <= version <= SUPPORTED:
        raise ConfigError(
            f"SPOT_CONFIG has version {version!r}, this sidecar reads 1 to {SUPPORTED}: "
            "give operator and sidecar images of the same release"
        )
    return _validated(kind, raw)


def _validated(kind: type[Read], raw: object) -> Read:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigError(f"SPOT_CONFIG is not valid: {faults}") from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ConfigError(f"SPOT_PORT={text!r}: give a TCP port, 1 to 65535")
    return int(text)


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ConfigError(f"{name} is not set: the pod must pass it by the downward API")
    return value
