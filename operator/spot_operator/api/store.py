"""Where a job's checkpoints live, as users write it; see `job.py`."""

from enum import StrEnum

from pydantic import Field

from spot_operator.api.model import Model


class Addressing(StrEnum):
    """How requests name the bucket."""

    AUTO = "Auto"
    PATH = "Path"
    VIRTUAL_HOST = "VirtualHost"


class CaBundle(Model):
    """Where the certificate of a private authority lies; exactly one kind of object."""

    secret_name: str | None = Field(
        default=None,
        max_length=253,
        description="Name of a Secret in the job's namespace.",
    )
    config_map_name: str | None = Field(
        default=None,
        max_length=253,
        description="Name of a ConfigMap in the job's namespace.",
    )
    key: str = Field(
        default="ca.crt",
        max_length=253,
        description="The key in it that holds the certificates, in PEM.",
    )


class S3Store(Model):
    """A bucket of S3, or of a store that speaks its protocol."""

    bucket: str = Field(
        max_length=63,
        description="Name of the bucket; it must exist.",
    )
    prefix: str = Field(
        default="",
        max_length=256,
        description=(
            "Path inside the bucket below which the job keeps its checkpoints, as "
            '"teams/vision"; without slash at either end. The job adds '
            "namespace, name and uid to it, so that jobs may share a prefix."
        ),
    )
    endpoint_url: str | None = Field(
        default=None,
        alias="endpointURL",
        max_length=512,
        description=(
            'URL of a store that is not AWS S3, as "https://minio.storage.svc:9000"; without '
            "credentials, query or fragment. Without it the region's endpoint of AWS is used."
        ),
    )
    region: str | None = Field(
        default=None,
        max_length=63,
        description=(
            'Region of the bucket, as "eu-central-1". Without it the SDK\'s own defaults apply.'
        ),
    )
    credentials_secret_name: str | None = Field(
        default=None,
        max_length=253,
        description=(
            "Name of a Secret in the job's namespace with the keys AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and, if temporary, AWS_SESSION_TOKEN. Only the sidecar "
            "sees it. Without it the identity of the pod's service account is used, "
            "which every container of the pod shares."
        ),
    )
    addressing: Addressing = Field(
        default=Addressing.AUTO,
        description=(
            "Where requests name the bucket: Path, in the URL's path; VirtualHost, in the "
            "host's name; Auto, in the path if endpointURL is set, else in the host's name."
        ),
    )
    ca_bundle: CaBundle | None = Field(
        default=None,
        description=(
            "The private authority that signs the store's certificate; it replaces the public "
            "ones. What it holds may change at any time and is followed within a minute or two."
        ),
    )


class VolumeStore(Model):
    """A directory in a PersistentVolumeClaim."""

    claim_name: str = Field(
        max_length=253,
        description=(
            "Name of a PersistentVolumeClaim in the job's namespace. Only the sidecar mounts it, "
            "as user and group 65532, which must be able to write there: set the pod's fsGroup "
            "or give that group the directory. Access mode ReadWriteMany lets the next attempt "
            "start while the volume is still attached to a lost node."
        ),
    )
    path: str = Field(
        default="",
        max_length=256,
        description=(
            "Directory in the volume below which the job keeps its checkpoints, as "
            '"teams/vision"; without slash at either end, made if absent. The job adds '
            "namespace, name and uid to it, so that jobs may share a volume."
        ),
    )


class Store(Model):
    """Where checkpoints live: exactly one kind of store."""

    s3: S3Store | None = Field(
        default=None, description="A bucket of S3, or of a store that speaks its protocol."
    )
    volume: VolumeStore | None = Field(
        default=None,
        description="A directory in a PersistentVolumeClaim, with the same guarantees.",
    )
