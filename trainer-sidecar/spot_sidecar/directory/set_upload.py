"""Makes the files of a held set durable. Runs in a thread."""

import os
from collections.abc import Sequence
from functools import partial

from spot_training.checkpoint import keys
from spot_training.checkpoint.content import CutShortError, FileContent, digest_content
from spot_training.checkpoint.manifest import FileFacts, StoredObject
from spot_training.checkpoint.store import Cancel, Corrupt, Store

from spot_sidecar.directory.spool import Held, SetChangedError, expect_same
from spot_sidecar.directory.tree import FILE

__all__ = ["upload_set"]


def upload_set(
    store: Store, held: Sequence[Held], *, checkpoint: str, rank: int, cancel: Cancel
) -> tuple[StoredObject, ...]:
    """Upload every file of the set; return what a receipt says of them.

    Raises:
        SetChangedError: the script wrote to a file meanwhile; what was uploaded is of no use.
        StoreError: the store did not take one.
    """
    upload = partial(_upload, store, cancel=cancel)
    objects = tuple(
        upload(one, key=keys.data_file(checkpoint, rank, index)) for index, one in enumerate(held)
    )
    # Only now: a set is one state, so nothing of it may have changed until its last file was read.
    for one, item in zip(held, objects, strict=True):
        expect_same(one, item.digests)
    return objects


def _upload(store: Store, one: Held, *, key: str, cancel: Cancel) -> StoredObject:
    file = one.file
    descriptor = os.open(one.path, FILE)
    try:
        content = FileContent(descriptor, file.size)
        digests = digest_content(content)
        store.upload(key, content, digests, cancel=cancel)
    except CutShortError as error:
        raise SetChangedError(f"{file.path} was written during the upload: {error}") from error
    except Corrupt:
        expect_same(one, digests)  # the store refuses what the script changed meanwhile
        raise
    finally:
        os.close(descriptor)
    facts = FileFacts(path=file.path, mode=file.mode, uid=file.uid, gid=file.gid)
    return StoredObject.of(key, 0, digests, facts)
