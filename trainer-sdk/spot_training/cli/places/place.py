"""A lineage that was found, and the command-line options that name one."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from spot_training.checkpoint.retention import Keep
from spot_training.checkpoint.store import Store
from spot_training.cli.codes import Refusal, wrong_usage

WHERE = """\
WHERE is one of
  ./spot-checkpoints       a directory, or a mounted volume
  s3://bucket/prefix       a bucket; credentials as for the AWS tools
  stj/NAME, -n NS NAME     a SpotTrainingJob; kubectl tells where its store is

If lineages are only found below it, they are listed, to name one of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """One lineage.

    `suspects` are the checkpoints that the job's status calls suspect (none without a job), `live`
    tells whether a process holds the lineage right now, as far as that can be seen from here,
    `keep` is what the job asks for (the default without a job).
    """

    title: str
    store: Store
    suspects: tuple[str, ...] = ()
    live: Callable[[], bool] = lambda: False
    keep: Keep = field(default_factory=Keep)


@dataclass(frozen=True, slots=True)
class Access:
    """The options that say how a store or cluster is reached."""

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    ca: str | None = None
    namespace: str | None = None
    context: str | None = None
    secret: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """WHERE and everything that may be needed to get there."""
    parser.add_argument("where", metavar="WHERE", help="directory, s3://bucket/prefix, stj/NAME")
    add_access(parser)


def add_access(parser: argparse.ArgumentParser) -> None:
    """How stores and clusters are reached."""
    s3 = parser.add_argument_group("stores")
    s3.add_argument("--endpoint-url", metavar="URL", help="of an S3-compatible store")
    s3.add_argument("--region", help="the bucket's region")
    s3.add_argument("--profile", help="the AWS profile with the credentials")
    s3.add_argument("--ca", metavar="FILE", help="certificates to trust the store by (PEM)")
    job = parser.add_argument_group("jobs")
    job.add_argument("-n", "--namespace", metavar="NS", help="the job's namespace; WHERE names it")
    job.add_argument("--context", help="the kubeconfig's context")
    job.add_argument(
        "--use-secret", action="store_true",
        help="take the store's credentials from the job's Secret (needs permission to read it)",
    )  # fmt: skip


def access_of(options: argparse.Namespace) -> Access:
    """The options as one value."""
    return Access(
        endpoint_url=options.endpoint_url,
        region=options.region,
        profile=options.profile,
        ca=options.ca,
        namespace=options.namespace,
        context=options.context,
        secret=options.use_secret,
    )


def open_place(where: str, access: Access) -> Place:
    """The one lineage that `where` names; Refusal if it names none, or several."""
    if access.namespace or re.match(r"(stj|spottrainingjobs?)/", where):
        from spot_training.cli.places.job import open_job  # noqa: PLC0415 - one of three

        return open_job(where.rpartition("/")[2], access)
    if where.startswith("s3://"):
        from spot_training.cli.places.bucket import open_bucket  # noqa: PLC0415

        return open_bucket(where, access)
    if "://" in where:
        raise wrong_usage(f"{where}: lineages are in directories, s3:// buckets, or named by a job")
    from spot_training.cli.places.directory import open_directory  # noqa: PLC0415

    return open_directory(Path(where))


def name_one_of(where: str, found: list[str]) -> Refusal:
    """Says what was found where one lineage was expected."""
    if not found:
        return Refusal(
            f"{where} holds no lineage (no format.json there or below): is it the right place? "
            "A run's lineage is <prefix>/<namespace>/<name>/<uid>, or $SPOT_DIR"
        )
    listed = "\n".join(f"  {name}" for name in found)
    return wrong_usage(f"{where} is above {len(found)} lineages; name one of them:\n{listed}")
