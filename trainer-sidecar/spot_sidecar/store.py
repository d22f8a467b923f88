"""The job's store by its configuration. Libraries are imported late: S3's takes a second."""

from collections.abc import Callable
from functools import partial

from spot_training.checkpoint.keys import lineage_prefix
from spot_training.checkpoint.store import Denied, Misconfigured, Store

from spot_sidecar.config import Config, JobName, S3Store, VolumeStore

__all__ = ["store_of"]


def store_of(config: Config) -> Callable[[], Store]:
    """A function that connects to the job's lineage; it contacts no network.

    It raises Misconfigured if the settings or the mounted credentials cannot be used, and on a
    volume every StoreError that making the lineage's directory can meet.
    """
    if config.store.s3 is not None:
        return partial(_bucket, config.store.s3, config.job)
    if config.store.volume is not None:
        return partial(_volume, config.store.volume, config.job)
    raise AssertionError("the configuration has a store")


def _bucket(s3: S3Store, job: JobName) -> Store:
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see the module
    from spot_training.checkpoint.stores.s3 import S3Store as Bucket  # noqa: PLC0415
    from spot_training.checkpoint.stores.s3_client import S3Settings  # noqa: PLC0415

    settings = S3Settings(
        bucket=s3.bucket,
        prefix=lineage_prefix(s3.prefix, job.namespace, job.name, job.uid),
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


def _volume(volume: VolumeStore, job: JobName) -> Store:
    from spot_training.checkpoint.stores.directory import DirectoryStore  # noqa: PLC0415

    root = volume.mount / lineage_prefix(volume.path, job.namespace, job.name, job.uid)
    try:
        return DirectoryStore.prepare(root, within=volume.mount)
    except Denied as error:
        raise Denied(
            f"{error}: in the job's template set securityContext.fsGroup to 65532, or give group "
            "65532 the directory checkpoint.store.volume.path of the volume"
        ) from error
