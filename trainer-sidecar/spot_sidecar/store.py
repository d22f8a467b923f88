"""The job's store by its configuration. The library is imported here, late: it takes a second."""

from collections.abc import Callable

from spot_training.checkpoint.keys import lineage_prefix
from spot_training.checkpoint.store import Misconfigured, Store

from spot_sidecar.config import Config

__all__ = ["store_of"]


def store_of(config: Config) -> Callable[[], Store]:
    """A function that connects to the job's lineage; it contacts nobody.

    It raises Misconfigured if the settings or the mounted credentials cannot be used.
    """
    job, s3 = config.job, config.store.s3

    def connect() -> Store:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see the module
        from spot_training.checkpoint.stores.s3 import S3Store  # noqa: PLC0415
        from spot_training.checkpoint.stores.s3_client import S3Settings  # noqa: PLC0415

        settings = S3Settings(
            bucket=s3.bucket,
            prefix=lineage_prefix(s3.prefix, job.namespace, job.name, job.uid),
            endpoint_url=s3.endpoint_url,
            region=s3.region,
            credentials_dir=s3.credentials_dir,
        )
        try:
            return S3Store(settings)
        except (BotoCoreError, ValueError) as error:
            raise Misconfigured(
                f"{error}; look at checkpoint.store.s3 and the keys of its Secret "
                "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
            ) from error

    return connect
