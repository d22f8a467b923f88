"""A lineage below a prefix of an S3-compatible bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from spot_training.checkpoint import keys
from spot_training.checkpoint.retry import Retry
from spot_training.cli.codes import unseen, wrong_usage
from spot_training.cli.places.place import Access, Place, name_one_of

DEPTH = 6
_SHOWN = 50
_TRIES = Retry(attempts=3, initial=0.2, cap=2.0)


def open_bucket(url: str, access: Access) -> Place:
    """The lineage at `url`; boto3 finds the credentials as it always does."""
    bucket, _, path = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise wrong_usage(f"{url} names no bucket; expected s3://bucket/prefix")
    return connect(bucket, path.strip("/"), access)


def connect(bucket: str, path: str, access: Access, suspects: tuple[str, ...] = ()) -> Place:
    """The lineage at `path` of the bucket; Refusal naming those below it if it is none itself."""
    try:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - optional

        from spot_training.checkpoint.stores import s3, s3_client  # noqa: PLC0415
    except ImportError as error:
        raise unseen("buckets need boto3: pip install 'spot-training[s3]'") from error
    _prepare_environment(access)
    settings = s3_client.S3Settings(
        bucket=bucket,
        prefix=f"{path}/" if path else "",
        endpoint_url=access.endpoint_url or _endpoint_of_environment(),
        region=access.region,
    )
    try:
        client = s3_client.connect(settings)
    except (BotoCoreError, ValueError) as error:
        raise unseen(f"{error}; check --profile, --region and --endpoint-url") from error
    title = f"s3://{bucket}/{path}"
    if path and _exists(client, bucket, settings.prefix + keys.FORMAT):
        return Place(title, s3.S3Store(settings, retry=_TRIES), suspects)
    raise name_one_of(title, [f"s3://{bucket}/{found}" for found in _below(client, settings)])


def _prepare_environment(access: Access) -> None:
    """botocore reads these; a profile that is named beats keys of the environment."""
    if access.ca:
        os.environ["AWS_CA_BUNDLE"] = access.ca
    if access.profile:
        os.environ["AWS_PROFILE"] = access.profile
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)


def _endpoint_of_environment() -> str | None:
    """botocore knows them as well, but a named endpoint is asked for by path, not by host name."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _exists(client: Any, bucket: str, key: str) -> bool:
    return key in (name for name, _ in _page(client, bucket, key))


def _below(client: Any, settings: Any) -> list[str]:
    return [found for found, _ in zip(_walk(client, settings, DEPTH), range(_SHOWN), strict=False)]


def _walk(client: Any, settings: Any, depth: int) -> Iterator[str]:
    folders = [settings.prefix]
    for _ in range(depth):
        below: list[str] = []
        for folder in folders:
            inside = list(_page(client, settings.bucket, folder))
            if folder and (folder + keys.FORMAT, False) in inside:
                yield folder.rstrip("/")
            else:
                below += [name for name, is_folder in inside if is_folder]
        folders = below


def _page(client: Any, bucket: str, prefix: str) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a folder) of everything directly below, up to a thousand."""
    from spot_training.checkpoint.stores.s3_errors import explained  # noqa: PLC0415 - needs boto3

    def ask() -> Any:
        with explained(f"s3://{bucket}/{prefix}"):
            return client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")

    answer = _TRIES.call(ask)
    yield from ((item["Prefix"], True) for item in answer.get("CommonPrefixes", ()))
    yield from ((item["Key"], False) for item in answer.get("Contents", ()))
