"""The volumes of a pod and who sees which: the trainer sees the shared memory and nothing else."""

from typing import Any, Final

from spot_operator.api import names
from spot_operator.api.job import CheckpointSpec

__all__ = ["SIDECAR_EXTRA_BYTES", "sidecar_mounts", "trainer_mounts", "volumes"]

Json = dict[str, Any]

MIB: Final = 1024**2
SIDECAR_EXTRA_BYTES: Final = 192 * MIB
"""What the sidecar needs beside the arenas: interpreter, libraries, parts in flight."""
_SHARED_EXTRA_BYTES: Final = 16 * MIB
"""Notice, progress and control pages beside the arenas; without it the last arena hits ENOSPC."""
_READABLE_BY_ALL: Final = 0o444
"""The files belong to root and the sidecar is not; only the sidecar mounts them."""


def volumes(checkpoint: CheckpointSpec) -> list[Json]:
    """Every volume of ours, for `spec.volumes`."""
    made: list[Json] = [
        _memory(names.VOLUME_SHARED, checkpoint.staging.size_limit + _SHARED_EXTRA_BYTES),
        _memory(names.VOLUME_PRIVATE, MIB),
        {
            "name": names.VOLUME_PODINFO,
            "downwardAPI": {
                "items": [
                    {
                        "path": names.PODINFO_ANNOTATIONS,
                        "fieldRef": {"fieldPath": "metadata.annotations"},
                    }
                ]
            },
        },
        {
            "name": names.VOLUME_TOKEN,
            "projected": {
                "sources": [
                    {
                        "serviceAccountToken": {
                            "audience": names.TOKEN_AUDIENCE,
                            "expirationSeconds": names.TOKEN_SECONDS,
                            "path": "token",
                        }
                    }
                ]
            },
        },
    ]
    if checkpoint.source.directory is not None:
        made.append({"name": names.VOLUME_DIRECTORY, "emptyDir": {}})
    secret = checkpoint.store.s3.credentials_secret_name
    if secret:
        source = {"secretName": secret, "defaultMode": _READABLE_BY_ALL}
        made.append({"name": names.VOLUME_CREDENTIALS, "secret": source})
    return made


def sidecar_mounts(checkpoint: CheckpointSpec) -> list[Json]:
    """Where the sidecar sees them."""
    mounts: list[Json] = [
        {"name": names.VOLUME_SHARED, "mountPath": names.PATH_SHARED},
        {"name": names.VOLUME_PRIVATE, "mountPath": names.PATH_PRIVATE},
        {"name": names.VOLUME_PODINFO, "mountPath": names.PATH_PODINFO, "readOnly": True},
        {"name": names.VOLUME_TOKEN, "mountPath": names.PATH_TOKEN, "readOnly": True},
    ]
    if checkpoint.source.directory is not None:
        mounts.append({"name": names.VOLUME_DIRECTORY, "mountPath": names.PATH_DIRECTORY})
    if checkpoint.store.s3.credentials_secret_name:
        mounts.append(
            {
                "name": names.VOLUME_CREDENTIALS,
                "mountPath": names.PATH_CREDENTIALS,
                "readOnly": True,
            }
        )
    return mounts


def trainer_mounts(checkpoint: CheckpointSpec) -> list[Json]:
    """What the trainer sees: the shared memory, and where a script without the SDK writes."""
    mounts: list[Json] = [{"name": names.VOLUME_SHARED, "mountPath": names.PATH_SHARED}]
    directory = checkpoint.source.directory
    if directory is not None:
        # A part of the volume: our own files in it are none of the script's.
        mount = {"name": names.VOLUME_DIRECTORY, "mountPath": directory.path}
        mounts.append(mount | {"subPath": names.SCRIPT_FILES})
    return mounts


def _memory(name: str, size: int) -> Json:
    # As a number of bytes a quantity needs no unit.
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}}
