"""The volumes of a pod and who sees which: the trainer sees the shared memory and nothing else."""

from collections.abc import Iterator
from typing import Any, Final

from spot_operator.api import names
from spot_operator.api.job import CheckpointSpec
from spot_operator.api.store import CaBundle, Store

__all__ = [
    "SIDECAR_EXTRA_BYTES",
    "sidecar_mounts",
    "store_mounts",
    "store_volumes",
    "trainer_mounts",
    "volumes",
]

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
    return [
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
        *([{"name": names.VOLUME_DIRECTORY, "emptyDir": {}}] if _has_script(checkpoint) else []),
        *store_volumes(checkpoint.store),
    ]


def store_volumes(store: Store) -> list[Json]:
    """The volumes that reaching the store needs."""
    return [made for made, _ in _of_store(store)]


def store_mounts(store: Store) -> list[Json]:
    """Where whoever has the store's credentials sees them."""
    return [mount for _, mount in _of_store(store)]


def sidecar_mounts(checkpoint: CheckpointSpec) -> list[Json]:
    """Where the sidecar sees them."""
    return [
        {"name": names.VOLUME_SHARED, "mountPath": names.PATH_SHARED},
        {"name": names.VOLUME_PRIVATE, "mountPath": names.PATH_PRIVATE},
        {"name": names.VOLUME_PODINFO, "mountPath": names.PATH_PODINFO, "readOnly": True},
        {"name": names.VOLUME_TOKEN, "mountPath": names.PATH_TOKEN, "readOnly": True},
        *(
            [{"name": names.VOLUME_DIRECTORY, "mountPath": names.PATH_DIRECTORY}]
            if _has_script(checkpoint)
            else []
        ),
        *store_mounts(checkpoint.store),
    ]


def trainer_mounts(checkpoint: CheckpointSpec) -> list[Json]:
    """What the trainer sees: the shared memory, and where a script without the SDK writes."""
    mounts: list[Json] = [{"name": names.VOLUME_SHARED, "mountPath": names.PATH_SHARED}]
    directory = checkpoint.source.directory
    if directory is not None:
        # A part of the volume: our own files in it are none of the script's.
        mount = {"name": names.VOLUME_DIRECTORY, "mountPath": directory.path}
        mounts.append(mount | {"subPath": names.SCRIPT_FILES})
    return mounts


def _has_script(checkpoint: CheckpointSpec) -> bool:
    return checkpoint.source.directory is not None


def _of_store(store: Store) -> Iterator[tuple[Json, Json]]:
    """What the store needs: each volume with the sidecar's mount of it. The trainer has none."""
    if store.volume is not None:
        claim = {"persistentVolumeClaim": {"claimName": store.volume.claim_name}}
        yield (
            {"name": names.VOLUME_STORE, **claim},
            {"name": names.VOLUME_STORE, "mountPath": names.PATH_STORE},
        )
    if store.s3 is not None and store.s3.credentials_secret_name:
        secret = {
            "secretName": store.s3.credentials_secret_name,
            "defaultMode": _READABLE_BY_ALL,
        }
        yield (
            {"name": names.VOLUME_CREDENTIALS, "secret": secret},
            _read_only(names.VOLUME_CREDENTIALS, names.PATH_CREDENTIALS),
        )
    if store.s3 is not None and store.s3.ca_bundle is not None:
        yield (
            {"name": names.VOLUME_CA, **_ca_source(store.s3.ca_bundle)},
            _read_only(names.VOLUME_CA, names.PATH_CA),
        )


def _ca_source(bundle: CaBundle) -> Json:
    # No subPath: the kubelet would never follow a change of it.
    files = {
        "items": [{"key": bundle.key, "path": names.CA_FILE}],
        "defaultMode": _READABLE_BY_ALL,
    }
    if bundle.secret_name is not None:
        return {"secret": {"secretName": bundle.secret_name, **files}}
    return {"configMap": {"name": bundle.config_map_name, **files}}


def _read_only(name: str, path: str) -> Json:
    return {"name": name, "mountPath": path, "readOnly": True}


def _memory(name: str, size: int) -> Json:
    # As a number of bytes a quantity needs no unit.
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}}
