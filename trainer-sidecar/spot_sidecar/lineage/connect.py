"""The job's store by its configuration. Libraries are imported late: S3's takes a second."""

from collections.abc import Callable
from functools import partial

from spot_training.checkpoint.inherited import InheritedLineage
from spot_training.checkpoint.keys import lineage_prefix
from spot_training.checkpoint.store import Denied, Misconfigured, Store

from spot_sidecar.config import spot_config as config
from spot_sidecar.config.spot_config import JobName

__all__ = ["former_lineages", "inherited_lineage", "store_of"]


def store_of(where: config.Store, job: JobName) -> Callable[[], Store]:
    """A function that connects to the job's lineage; it contacts no network.

    It raises Misconfigured if the settings or the mounted credentials cannot be used, and on a
    volume every StoreError that making the lineage's directory can meet.
    """
    return _connection(where, job.namespace, job.name, job.uid)


def inherited_lineage(where: config.Store, own: JobName, other: JobName) -> Callable[[], Store]:
    """Connects like `store_of` to the lineage of `other`, as job `own` goes on from it."""
    mine = store_of(where, own)
    volume = where.volume
    theirs = store_of(where, other) if volume is None else partial(_as_it_is, volume, other)
    return lambda: InheritedLineage(mine(), theirs())


def former_lineages(where: config.Store, job: JobName) -> Callable[[], Store]:
    """Connects like `store_of` to the place below which every job of this name has its lineage."""
    return _connection(where, job.namespace, job.name, "")


def _connection(where: config.Store, *place: str) -> Callable[[], Store]:
    if where.s3 is not None:
        return partial(_bucket, where.s3, *place)
    if where.volume is not None:
        return partial(_volume, where.volume, *place)
    raise AssertionError("the configuration has a store")


def _bucket(s3: config.S3Store, *place: str) -> Store:
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see the module
    from spot_training.checkpoint.stores.s3 import S3Store as Bucket  # noqa: PLC0415
    from spot_training.checkpoint.stores.s3_client import S3Settings  # noqa: PLC0415

    settings = S3Settings(
        bucket=s3.bucket,
        prefix=lineage_prefix(s3.prefix, *place),
        endpoint_url=s3.endpoint_url,
        region=s3.region,
        credentials_dir=s3.credentials_dir,
        ca_file=s3.ca_file,
        addressing=s3.addressing,
    )
    try:
        return Bucket(settings)
    except (BotoCoreError, ValueError) as error:
        raise Misconfigured(
            f"{error}; look at checkpoint.store.s3 and the keys of its Secret "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        ) from error


def _volume(volume: config.VolumeStore, *place: str) -> Store:
    from spot_training.checkpoint.stores.directory import DirectoryStore  # noqa: PLC0415

    root = volume.mount / lineage_prefix(volume.path, *place)
    try:
        return DirectoryStore.prepare(root, within=volume.mount)
    except Denied as error:
        raise Denied(
            f"{error}: in the job's template set securityContext.fsGroup to 65532, or give group "
            "65532 the directory checkpoint.store.volume.path of the volume"
        ) from error


def _as_it_is(volume: config.VolumeStore, other: JobName) -> Store | None:
    """Another job's lineage, which is not made where it is absent (None).

    Raises Denied where a symbolic link is on the way, as `_volume` does.
    """
    from spot_training.checkpoint.stores.directory import DirectoryStore  # noqa: PLC0415

    path = volume.mount
    for part in lineage_prefix(volume.path, other.namespace, other.name, other.uid).split("/"):
        path = path / part
        if path.is_symlink():
            raise Denied(f"{path} is a symbolic link, which could lead out of the volume")
    return DirectoryStore(path) if path.is_dir() else None
